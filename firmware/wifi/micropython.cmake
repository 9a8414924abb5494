# The module _spinet_wifi for MicroPython's CMake builds (the chips).

add_library(usermod_wifi INTERFACE)

target_sources(usermod_wifi INTERFACE
    ${CMAKE_CURRENT_LIST_DIR}/modwifi.c
    ${CMAKE_CURRENT_LIST_DIR}/eap_login.c
)

target_include_directories(usermod_wifi INTERFACE ${CMAKE_CURRENT_LIST_DIR})

# In the image by way of esp_wifi, but not among the components whose headers MicroPython sees.
idf_component_get_property(SPINET_WPA_SUPPLICANT wpa_supplicant COMPONENT_DIR)
target_include_directories(usermod_wifi INTERFACE ${SPINET_WPA_SUPPLICANT}/esp_supplicant/include)

target_link_libraries(usermod INTERFACE usermod_wifi)
