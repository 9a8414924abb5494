"""As much of `esp32` as a board file uses."""

HEAP_DATA = 4


def mcu_temperature():
    """Degrees Celsius; the ESP32 has raw_temperature() in its place."""
    return 41


def idf_heap_info(_capabilities):
    """Regions as (total, free, largest free block, least free ever); there is one here."""
    return [(327680, 131072, 65536, 98304)]


class Partition:
    """A partition of NOR flash, in blocks of 4096 bytes.

    `table` has them by name, the slots in order; `running` is the name of the slot that runs.
    """

    RUNNING, BOOT = 1, 0

    table = {}  # noqa: RUF012 -- of the chip, so of the class
    running = "ota_0"
    booted_next = None
    kept = False

    def __init__(self, name):
        self._name = Partition.running if name == Partition.RUNNING else name
        self._subtype, self._data = Partition.table[self._name]

    @classmethod
    def flash(cls, **table):
        """Partitions: name=(subtype, bytes)."""
        cls.table = {name: (sub, bytearray(data)) for name, (sub, data) in table.items()}
        cls.booted_next, cls.kept = None, False

    def info(self):
        return 0, self._subtype, 0x10000, len(self._data), self._name, False

    def get_next_update(self):
        slots = [name for name, (sub, _) in Partition.table.items() if sub & 0x10]
        if not slots:
            raise OSError(2, "ESP_ERR_NOT_FOUND")
        here = slots.index(self._name) if self._name in slots else -1
        return Partition(slots[(here + 1) % len(slots)])

    def readblocks(self, block, into, offset=0):
        at = self._within(block * 4096 + offset, len(into))
        into[:] = self._data[at : at + len(into)]

    def writeblocks(self, block, data, offset=None):
        at = self._within(block * 4096 + (offset or 0), len(data))
        if offset is None:
            for erased in range(block, block + (len(data) + 4095) // 4096):
                self.ioctl(6, erased)
        for i, byte in enumerate(data):
            self._data[at + i] &= byte

    def ioctl(self, command, block):
        assert command == 6
        at = self._within(block * 4096, 4096)
        self._data[at : at + 4096] = b"\xff" * 4096
        return 0

    def _within(self, at, length):
        if not 0 <= at <= at + length <= len(self._data):
            raise OSError(-258, "ESP_ERR_INVALID_SIZE")
        return at

    def set_boot(self):
        if self._data[0] != 0xE9:
            raise OSError(-5379, "ESP_ERR_OTA_VALIDATE_FAILED")
        Partition.booted_next = self._name

    @classmethod
    def mark_app_valid_cancel_rollback(cls):
        cls.kept = True
