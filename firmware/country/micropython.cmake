# The country module for MicroPython's CMake builds (the chips).

add_library(usermod_country INTERFACE)

target_sources(usermod_country INTERFACE ${CMAKE_CURRENT_LIST_DIR}/modcountry.c)

target_include_directories(usermod_country INTERFACE ${CMAKE_CURRENT_LIST_DIR})

target_link_libraries(usermod INTERFACE usermod_country)
