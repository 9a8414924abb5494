# The modules _spinet_spi_exchange, _spinet_spi_target and _spinet_nina_target for MicroPython's CMake builds
# (the chips). The end of a transfer ends the TCP stack's wait, hence ../lwip.

add_library(usermod_spi INTERFACE)

target_sources(usermod_spi INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modspi_exchange.c
    ${CMAKE_CURRENT_LIST_DIR}/modspi_target.c
    ${CMAKE_CURRENT_LIST_DIR}/modnina_target.c
    ${CMAKE_CURRENT_LIST_DIR}/spi_exchange.c
    ${CMAKE_CURRENT_LIST_DIR}/message_binding.c
    ${CMAKE_CURRENT_LIST_DIR}/message_buffers.c
    ${CMAKE_CURRENT_LIST_DIR}/nina_target.c
    ${CMAKE_CURRENT_LIST_DIR}/sck_counter.c
    ${CMAKE_CURRENT_LIST_DIR}/slave_transfer.c
    ${CMAKE_CURRENT_LIST_DIR}/spi_target.c
)

target_include_directories(usermod_spi INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../lwip
    ${CMAKE_CURRENT_LIST_DIR}/../common
)

target_link_libraries(usermod INTERFACE usermod_spi)
