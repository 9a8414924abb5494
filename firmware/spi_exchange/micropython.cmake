# The spi_exchange module for MicroPython's CMake builds (the chips).

add_library(usermod_spi_exchange INTERFACE)

target_sources(usermod_spi_exchange INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modspi_exchange.c
    ${CMAKE_CURRENT_LIST_DIR}/exchange.c
    ${CMAKE_CURRENT_LIST_DIR}/message_binding.c
    ${CMAKE_CURRENT_LIST_DIR}/message_buffers.c
)

target_include_directories(usermod_spi_exchange INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../soft_reset
)

target_link_libraries(usermod INTERFACE usermod_spi_exchange)
