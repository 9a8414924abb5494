# Our C modules for MicroPython's CMake builds (the chips): each folder here that has a
# micropython.cmake of its own. Given as USER_C_MODULES by `make firmware`.
file(GLOB SPINET_C_MODULES "${CMAKE_CURRENT_LIST_DIR}/*/micropython.cmake")
foreach(SPINET_C_MODULE ${SPINET_C_MODULES})
    include("${SPINET_C_MODULE}")
endforeach()

# The port compiles our C twice: once for its component, once for the program. The program links its
# own copy, and ESP-IDF gives that copy its compiler options but not its definitions.
idf_build_get_property(SPINET_IDF_DEFINITIONS COMPILE_DEFINITIONS GENERATOR_EXPRESSION)
target_compile_definitions(usermod INTERFACE "${SPINET_IDF_DEFINITIONS}")
