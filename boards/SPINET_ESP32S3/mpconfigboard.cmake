# Read by MicroPython's ESP32 port, given as MICROPY_BOARD_DIR.
set(IDF_TARGET esp32s3)

set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    boards/sdkconfig.usb
    boards/sdkconfig.240mhz
    ${MICROPY_BOARD_DIR}/../chip/sdkconfig.chip
    ${MICROPY_BOARD_DIR}/sdkconfig.board
)

include(${MICROPY_BOARD_DIR}/../chip/board.cmake)
