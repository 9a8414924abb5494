/* Read by MicroPython's ESP32 port. */
#define MICROPY_HW_BOARD_NAME "Spinet ESP32-C3"
#define MICROPY_HW_MCU_NAME "ESP32C3"

/* Its controller takes tens of KB of RAM, and a network card needs no Bluetooth. */
#define MICROPY_PY_BLUETOOTH (0)

/* The REPL by an external USB-UART too: on a printer's board the USB pins are not wired. */
#define MICROPY_HW_ENABLE_UART_REPL (1)

/* Python's heap, which does not grow (fixed_heap.c). docs/hardware.md has the arithmetic. */
#define MICROPY_GC_INITIAL_HEAP_SIZE (72 * 1024)

/* How many blocks may wait at once for a collection to look through them. With MicroPython's 64 there are
 * more, and then a collection goes through the whole heap again, twice as long. */
#define MICROPY_ALLOC_GC_STACK_SIZE (192)
