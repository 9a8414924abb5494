# Read by MicroPython's ESP32 port, given as MICROPY_BOARD_DIR.
set(IDF_TARGET esp32s3)

# The port's own settings; board.cmake adds ours.
set(SDKCONFIG_DEFAULTS boards/sdkconfig.base boards/sdkconfig.240mhz)
set(SPINET_PORT_SDKCONFIG boards/sdkconfig.usb) # up to 1.26

include(${MICROPY_BOARD_DIR}/../chip/board.cmake)
