# What the build of a board is made of, as CMake files of ESP-IDF, MicroPython's ESP32 port and this
# project say it: run by tools/check_idf.py with cmake -P, so that nothing is configured or built.
#
#   cmake -DWHAT=board ...  the board's chip and the sdkconfig files it names
#   cmake -DWHAT=parts ...  after Kconfig: components, their sources, folders and requirements
#
# Given: IDF_PATH, MICROPY_DIR, MICROPY_BOARD_DIR, FIRMWARE (our firmware/micropython.cmake), SCRATCH,
# for the parts SDKCONFIG_CMAKE and EXTRA_COMPONENTS as well. The answer goes to OUTPUT, a line each:
# kind<TAB>name<TAB>value.
cmake_minimum_required(VERSION 3.16)
cmake_policy(SET CMP0057 NEW)

set(CMAKE_BINARY_DIR "${SCRATCH}")
set(MICROPY_PORT_DIR "${MICROPY_DIR}/ports/esp32")
get_filename_component(MICROPY_BOARD "${MICROPY_BOARD_DIR}" NAME)
file(WRITE "${OUTPUT}" "")

function(tell kind name)
    list(REMOVE_ITEM ARGN INTERFACE PUBLIC PRIVATE)
    foreach(value ${ARGN})
        string(REGEX REPLACE "[\n\t ]+" " " value "${value}")
        file(APPEND "${OUTPUT}" "${kind}\t${name}\t${value}\n")
    endforeach()
endfunction()

# ---- what a script has no targets for: ours are heard, the others' pass unheard

function(add_library)
endfunction()
function(target_sources target)
    tell(source "${target}" ${ARGN})
endfunction()
function(target_include_directories target)
    tell(include "${target}" ${ARGN})
endfunction()
function(target_compile_definitions target)
    tell(definition "${target}" ${ARGN})
endfunction()
function(target_compile_options target)
    tell(option "${target}" ${ARGN})
endfunction()
function(target_link_libraries)
endfunction()
function(target_link_options target)
    tell(link "${target}" ${ARGN})
endfunction()
function(add_custom_command)
endfunction()
function(add_custom_target)
endfunction()
function(get_target_property variable)
    set(${variable} "" PARENT_SCOPE)
endfunction()
function(find_package)
endfunction()
function(micropy_gather_target_properties)
endfunction()
function(idf_build_get_property variable property)
    set(${variable} "${${property}}" PARENT_SCOPE)
endfunction()
function(idf_build_set_property)
endfunction()
function(idf_component_get_property variable name property)
    set(${variable} "${${name}_${property}}" PARENT_SCOPE)
endfunction()
macro(require_idf_targets)
endmacro()

set(REGISTERED SRCS SRC_DIRS EXCLUDE_SRCS INCLUDE_DIRS PRIV_INCLUDE_DIRS LDFRAGMENTS REQUIRES
    PRIV_REQUIRES REQUIRED_IDF_TARGETS EMBED_FILES EMBED_TXTFILES)

function(tell_absolute kind)
    foreach(path ${ARGN})
        get_filename_component(path "${path}" ABSOLUTE BASE_DIR "${COMPONENT_DIR}")
        tell(${kind} "${COMPONENT_NAME}" "${path}")
    endforeach()
endfunction()

function(tell_component)
    cmake_parse_arguments(PART "WHOLE_ARCHIVE" "KCONFIG;KCONFIG_PROJBUILD" "${REGISTERED}" ${ARGN})
    tell(component "${COMPONENT_NAME}" "${COMPONENT_DIR}")
    set(${COMPONENT_NAME}_COMPONENT_DIR "${COMPONENT_DIR}" CACHE INTERNAL "")
    set(${COMPONENT_NAME}_COMPONENT_LIB "${COMPONENT_NAME}" CACHE INTERNAL "")
    foreach(folder ${PART_SRC_DIRS})
        get_filename_component(folder "${folder}" ABSOLUTE BASE_DIR "${COMPONENT_DIR}")
        file(GLOB found "${folder}/*.c" "${folder}/*.S")
        list(APPEND PART_SRCS ${found})
    endforeach()
    tell_absolute(source ${PART_SRCS})
    tell_absolute(include ${PART_INCLUDE_DIRS})
    tell_absolute(private ${PART_PRIV_INCLUDE_DIRS})
    tell(requires "${COMPONENT_NAME}" ${PART_REQUIRES})
endfunction()

# ---- the board

set(CMAKE_CURRENT_SOURCE_DIR "${MICROPY_PORT_DIR}")
include("${MICROPY_BOARD_DIR}/mpconfigboard.cmake")
if(WHAT STREQUAL "board")
    tell(target board "${IDF_TARGET}")
    foreach(file ${SDKCONFIG_DEFAULTS})
        get_filename_component(file "${file}" ABSOLUTE BASE_DIR "${MICROPY_PORT_DIR}")
        tell(sdkconfig board "${file}")
    endforeach()
    return()
endif()

# ---- ESP-IDF's components; the file of each ends at its registration

include("${SDKCONFIG_CMAKE}")
include("${IDF_PATH}/tools/cmake/version.cmake")
include("${IDF_PATH}/tools/cmake/utilities.cmake")
set(idf_target "${IDF_TARGET}")
set(target "${IDF_TARGET}")
set(IDF_TARGET_ARCH "${CONFIG_IDF_TARGET_ARCH}")
tell(architecture idf "${IDF_TARGET_ARCH}")

# What ESP-IDF defines for its components.
set(COMPILE_DEFINITIONS ESP_PLATFORM _GNU_SOURCE _POSIX_READER_WRITER_LOCKS
    "IDF_VER=\"v${IDF_VERSION_MAJOR}.${IDF_VERSION_MINOR}.${IDF_VERSION_PATCH}\"")
if(CONFIG_COMPILER_OPTIMIZATION_ASSERTIONS_DISABLE)
    list(APPEND COMPILE_DEFINITIONS NDEBUG)
endif()
tell(definition idf ${COMPILE_DEFINITIONS})

macro(idf_component_register)
    tell_component(${ARGN})
    return()
endmacro()
macro(register_component)
    return()
endmacro()

# A component that refuses, for instance because its submodule was not fetched, is left out.
macro(message mode)
    if("${mode}" STREQUAL "FATAL_ERROR")
        tell(refused "${COMPONENT_NAME}" "${ARGN}")
        return()
    endif()
endmacro()

function(visit_component COMPONENT_DIR)
    get_filename_component(COMPONENT_NAME "${COMPONENT_DIR}" NAME)
    # A managed component's folder is NAMESPACE__NAME.
    string(REGEX REPLACE "^.*__" "" COMPONENT_NAME "${COMPONENT_NAME}")
    set(COMPONENT_LIB "${COMPONENT_NAME}")
    set(CMAKE_CURRENT_SOURCE_DIR "${COMPONENT_DIR}")
    set(CMAKE_CURRENT_LIST_DIR "${COMPONENT_DIR}")
    include("${COMPONENT_DIR}/CMakeLists.txt")
endfunction()

file(GLOB component_files "${IDF_PATH}/components/*/CMakeLists.txt")
foreach(folder ${EXTRA_COMPONENTS})
    file(GLOB more "${folder}/*/CMakeLists.txt")
    list(APPEND component_files ${more})
    # What the component manager brings, it also makes a requirement of the application.
    foreach(component_file ${more})
        get_filename_component(name "${component_file}" DIRECTORY)
        get_filename_component(name "${name}" NAME)
        string(REGEX REPLACE "^.*__" "" name "${name}")
        tell(requires main "${name}")
    endforeach()
endforeach()
foreach(component_file ${component_files})
    get_filename_component(component_dir "${component_file}" DIRECTORY)
    visit_component("${component_dir}")
endforeach()

# mbedTLS is a CMake project inside its component, which tells its users where its settings are.
file(GLOB mbedtls_files "${IDF_PATH}/components/mbedtls/mbedtls/library/*.c")
tell(source mbedtls ${mbedtls_files})
tell(private mbedtls "${IDF_PATH}/components/mbedtls/mbedtls/library")
foreach(user mbedtls main)
    tell(definition ${user} "MBEDTLS_CONFIG_FILE=\"mbedtls/esp_config.h\"")
endforeach()

# ---- MicroPython's port, which is the application's component; its file goes on after that

macro(idf_component_register)
    set(COMPONENT_TARGET main)
    tell_component(${ARGN})
endmacro()

function(set_property)
endfunction()
set(COMPONENT_NAME main)
set(COMPONENT_DIR "${MICROPY_PORT_DIR}")
set(USER_C_MODULES "${FIRMWARE}")
set(MICROPY_LIB_DIR "${SCRATCH}")
file(WRITE "${SCRATCH}/README.md" "")
include("${MICROPY_PORT_DIR}/esp32_common.cmake")
