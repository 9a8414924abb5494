# The C modules for MicroPython's CMake builds (the chips): each folder here that has a micropython.cmake.
# `make firmware` gives this file as USER_C_MODULES.
file(GLOB SPINET_C_MODULES "${CMAKE_CURRENT_LIST_DIR}/*/micropython.cmake")
foreach(SPINET_C_MODULE ${SPINET_C_MODULES})
    include("${SPINET_C_MODULE}")
endforeach()

# The port compiles this C twice: once for its component, once for the program. The program links its own
# copy, to which ESP-IDF gives its compiler options but not its definitions.
idf_build_get_property(SPINET_IDF_DEFINITIONS COMPILE_DEFINITIONS GENERATOR_EXPRESSION)
target_compile_definitions(usermod INTERFACE "${SPINET_IDF_DEFINITIONS}")
