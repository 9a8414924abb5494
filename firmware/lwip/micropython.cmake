# The module _spinet_lwip for MicroPython's CMake builds (the chips).

add_library(usermod_lwip INTERFACE)

target_sources(usermod_lwip INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/moddatagrams.c
    ${CMAKE_CURRENT_LIST_DIR}/modlwip.c
    ${CMAKE_CURRENT_LIST_DIR}/accept_queue.c
    ${CMAKE_CURRENT_LIST_DIR}/admission.c
    ${CMAKE_CURRENT_LIST_DIR}/datagrams.c
    ${CMAKE_CURRENT_LIST_DIR}/ending.c
    ${CMAKE_CURRENT_LIST_DIR}/entry.c
    ${CMAKE_CURRENT_LIST_DIR}/netconn.c
    ${CMAKE_CURRENT_LIST_DIR}/ping.c
    ${CMAKE_CURRENT_LIST_DIR}/platform_freertos.c
    ${CMAKE_CURRENT_LIST_DIR}/receiving.c
    ${CMAKE_CURRENT_LIST_DIR}/sending.c
    ${CMAKE_CURRENT_LIST_DIR}/time_wait.c
)

target_include_directories(usermod_lwip INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../common
)

# For time_wait.c. MicroPython wraps lwIP's memp_malloc in the same way.
target_link_options(usermod_lwip INTERFACE -Wl,--wrap=tcp_next_iss)

target_link_libraries(usermod INTERFACE usermod_lwip)
