# Our C modules for MicroPython's CMake builds (the chips): each folder here that has a
# micropython.cmake of its own. Given as USER_C_MODULES by `make firmware`.
file(GLOB SPINET_C_MODULES "${CMAKE_CURRENT_LIST_DIR}/*/micropython.cmake")
foreach(SPINET_C_MODULE ${SPINET_C_MODULES})
    include("${SPINET_C_MODULE}")
endforeach()

# The port compiles our C twice, as a part of its component and of the program; the program links
# the latter copy, to which ESP-IDF gives its options but not its definitions.
idf_build_get_property(SPINET_IDF_DEFINITIONS COMPILE_DEFINITIONS GENERATOR_EXPRESSION)
target_compile_definitions(usermod INTERFACE "${SPINET_IDF_DEFINITIONS}")
