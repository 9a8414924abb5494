# The module _spinet_mdns for MicroPython's CMake builds (the chips). The component itself comes with the
# ESP32 port, which lists it in its main/idf_component.yml.

add_library(usermod_mdns INTERFACE)

target_sources(usermod_mdns INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modmdns.c
    ${CMAKE_CURRENT_LIST_DIR}/mdns_services.c
)

target_include_directories(usermod_mdns INTERFACE ${CMAKE_CURRENT_LIST_DIR})

target_link_libraries(usermod INTERFACE usermod_mdns)
