"""As much of `esp32` as a board file uses."""

HEAP_DATA = 4


def mcu_temperature():
    """Degrees Celsius; the ESP32 has raw_temperature() in its place."""
    return 41


def idf_heap_info(_capabilities):
    """Regions as (total, free, largest free block, least free ever); there is one here."""
    return [(327680, 131072, 65536, 98304)]
