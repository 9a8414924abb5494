# The module _spinet_slabs for MicroPython's CMake builds (the chips).

add_library(usermod_slabs INTERFACE)

target_sources(usermod_slabs INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modslabs.c
    ${CMAKE_CURRENT_LIST_DIR}/slabs.c
)

target_include_directories(usermod_slabs INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}
    ${CMAKE_CURRENT_LIST_DIR}/../common
)

target_link_libraries(usermod INTERFACE usermod_slabs)
