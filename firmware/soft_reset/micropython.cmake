# What is stopped at a soft reset, for MicroPython's CMake builds (the chips); for modules in C, not
# for Python.

add_library(usermod_soft_reset INTERFACE)

target_sources(usermod_soft_reset INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/soft_reset.c
    ${CMAKE_CURRENT_LIST_DIR}/stops.c
)

target_include_directories(usermod_soft_reset INTERFACE ${CMAKE_CURRENT_LIST_DIR})

target_link_libraries(usermod INTERFACE usermod_soft_reset)
