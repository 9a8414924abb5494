# What all Spinet boards set. Included by their mpconfigboard.cmake.

# The port's files, which not every release of MicroPython has; then ours, which override them.
foreach(SPINET_SDKCONFIG ${SPINET_PORT_SDKCONFIG})
    if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${SPINET_SDKCONFIG}")
        list(APPEND SDKCONFIG_DEFAULTS ${SPINET_SDKCONFIG})
    endif()
endforeach()
list(APPEND SDKCONFIG_DEFAULTS
    ${MICROPY_BOARD_DIR}/../chip/sdkconfig.chip
    ${MICROPY_BOARD_DIR}/sdkconfig.board
)

# Our partition table; a board may choose another. ESP-IDF wants its whole path, which no sdkconfig file can
# have. And the image gets PROJECT_VER, which make firmware sets and MicroPython's settings leave out.
set(SPINET_PARTITIONS "${CMAKE_BINARY_DIR}/sdkconfig.partitions")
if(NOT SPINET_PARTITION_TABLE)
    set(SPINET_PARTITION_TABLE partitions.csv)
endif()
get_filename_component(SPINET_TABLE "${MICROPY_BOARD_DIR}/../chip/${SPINET_PARTITION_TABLE}" ABSOLUTE)
file(WRITE "${SPINET_PARTITIONS}"
    "CONFIG_APP_EXCLUDE_PROJECT_VER_VAR=n\n"
    "CONFIG_PARTITION_TABLE_CUSTOM=y\n"
    "CONFIG_PARTITION_TABLE_CUSTOM_FILENAME=\"${SPINET_TABLE}\"\n")
list(APPEND SDKCONFIG_DEFAULTS "${SPINET_PARTITIONS}")

set(MICROPY_FROZEN_MANIFEST "${MICROPY_BOARD_DIR}/manifest.py")

# btree: a database that nothing here uses, from a git submodule of MicroPython's.
set(MICROPY_PY_BTREE OFF)
