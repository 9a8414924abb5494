# The netconn module for MicroPython's CMake builds (the chips).

add_library(usermod_lwip INTERFACE)

target_sources(usermod_lwip INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modnetconn.c
    ${CMAKE_CURRENT_LIST_DIR}/admission.c
    ${CMAKE_CURRENT_LIST_DIR}/dying.c
    ${CMAKE_CURRENT_LIST_DIR}/entry.c
    ${CMAKE_CURRENT_LIST_DIR}/opening.c
    ${CMAKE_CURRENT_LIST_DIR}/receiving.c
    ${CMAKE_CURRENT_LIST_DIR}/sending.c
    ${CMAKE_CURRENT_LIST_DIR}/time_wait.c
    ${CMAKE_CURRENT_LIST_DIR}/waiting.c
    ${CMAKE_CURRENT_LIST_DIR}/port_freertos.c
)

target_include_directories(usermod_lwip INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../common
)

# For time_wait.c. MicroPython wraps lwIP's memp_malloc in the same way.
target_link_options(usermod_lwip INTERFACE -Wl,--wrap=tcp_next_iss)

target_link_libraries(usermod INTERFACE usermod_lwip)
