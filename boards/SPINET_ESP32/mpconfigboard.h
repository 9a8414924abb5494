/* Read by MicroPython's ESP32 port. */
#define MICROPY_HW_BOARD_NAME "Spinet ESP32"
#define MICROPY_HW_MCU_NAME "ESP32"

/* Its controller takes tens of KB of RAM, and a network card needs no Bluetooth. */
#define MICROPY_PY_BLUETOOTH (0)

/* esp32.PCNT uses ESP-IDF's older driver of the pulse counter, spi_target the newer one, to count SCK.
 * An image with both drivers aborts before main. */
#define MICROPY_PY_ESP32_PCNT (0)

/* Python's heap, which does not grow (fixed_heap.c). docs/hardware.md has the arithmetic. */
#define MICROPY_GC_INITIAL_HEAP_SIZE (80 * 1024)

/* How many blocks may wait at once for a collection to look through them. With MicroPython's 64 there are
 * more, and then a collection goes through the whole heap again, twice as long. */
#define MICROPY_ALLOC_GC_STACK_SIZE (192)
