# The spi_target module for MicroPython's CMake builds (the chips). It shares the message buffers of
# spi_exchange, which the aggregator includes as well, and ends the wait of netconn.

add_library(usermod_spi_target INTERFACE)

target_sources(usermod_spi_target INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modspi_target.c
    ${CMAKE_CURRENT_LIST_DIR}/target.c
    ${CMAKE_CURRENT_LIST_DIR}/sck_counter.c
)

target_include_directories(usermod_spi_target INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../spi_exchange
    ${CMAKE_CURRENT_LIST_DIR}/../lwip
    ${CMAKE_CURRENT_LIST_DIR}/../soft_reset
)

target_link_libraries(usermod INTERFACE usermod_spi_target)
