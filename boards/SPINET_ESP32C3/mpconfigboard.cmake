# Read by MicroPython's ESP32 port, given as MICROPY_BOARD_DIR.
set(IDF_TARGET esp32c3)

# The port's own settings; board.cmake adds ours.
set(SDKCONFIG_DEFAULTS boards/sdkconfig.base)
set(SPINET_PORT_SDKCONFIG
    boards/sdkconfig.riscv # from 1.27 on
    boards/sdkconfig.c3 # from 1.29 on, and before that:
    boards/ESP32_GENERIC_C3/sdkconfig.c3usb
)

include(${MICROPY_BOARD_DIR}/../chip/board.cmake)
