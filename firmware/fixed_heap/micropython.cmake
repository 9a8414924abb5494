# Python's heap of a fixed size, for MicroPython's CMake builds (the chips).

add_library(usermod_fixed_heap INTERFACE)

target_sources(usermod_fixed_heap INTERFACE ${CMAKE_CURRENT_LIST_DIR}/fixed_heap.c)

target_link_options(usermod_fixed_heap INTERFACE -Wl,--wrap=gc_get_max_new_split)

target_link_libraries(usermod INTERFACE usermod_fixed_heap)
