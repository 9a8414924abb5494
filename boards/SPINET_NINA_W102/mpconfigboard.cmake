# Read by MicroPython's ESP32 port, given as MICROPY_BOARD_DIR.
set(IDF_TARGET esp32)
set(SPINET_PARTITION_TABLE partitions-2mb.csv)
include(${MICROPY_BOARD_DIR}/../SPINET_ESP32/mpconfigboard.cmake)
