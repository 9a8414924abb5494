# The module _spinet_tls for MicroPython's CMake builds (the chips); mbedTLS is ESP-IDF's component.

add_library(usermod_tls_session INTERFACE)

target_sources(usermod_tls_session INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modtls.c
    ${CMAKE_CURRENT_LIST_DIR}/roots_bundle.c
    ${CMAKE_CURRENT_LIST_DIR}/tls_context.c
    ${CMAKE_CURRENT_LIST_DIR}/tls_session.c
)

target_include_directories(usermod_tls_session INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../common
)

target_link_libraries(usermod INTERFACE usermod_tls_session)
