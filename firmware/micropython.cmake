# Our C modules for MicroPython's CMake builds (the chips): each folder here that has a
# micropython.cmake of its own. Given as USER_C_MODULES by `make firmware`.
file(GLOB SPINET_C_MODULES "${CMAKE_CURRENT_LIST_DIR}/*/micropython.cmake")
foreach(SPINET_C_MODULE ${SPINET_C_MODULES})
    include("${SPINET_C_MODULE}")
endforeach()
