// Read by MicroPython's ESP32 port.
#define MICROPY_HW_BOARD_NAME "Spinet ESP32-S3"
#define MICROPY_HW_MCU_NAME "ESP32S3"

// Its controller takes tens of KB of RAM, and nobody speaks Bluetooth to a network card.
#define MICROPY_PY_BLUETOOTH (0)

// The REPL by an external USB-UART too: on a printer's board the USB pins are not wired.
#define MICROPY_HW_ENABLE_UART_REPL (1)

// esp32.PCNT is written for ESP-IDF's older driver of the pulse counter, and an image that has both
// drivers ends before main. The newer one counts SCK for spi_target.
#define MICROPY_PY_ESP32_PCNT (0)
