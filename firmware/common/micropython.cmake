# What the C modules share, and Python's heap of a fixed size, for MicroPython's CMake builds (the chips).
# None of it is a module for Python.

add_library(usermod_common INTERFACE)

target_sources(usermod_common INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/fixed_heap.c
    ${CMAKE_CURRENT_LIST_DIR}/soft_reset.c
    ${CMAKE_CURRENT_LIST_DIR}/stops.c
)

target_include_directories(usermod_common INTERFACE ${CMAKE_CURRENT_LIST_DIR})

target_link_options(usermod_common INTERFACE -Wl,--wrap=gc_get_max_new_split)

target_link_libraries(usermod INTERFACE usermod_common)
