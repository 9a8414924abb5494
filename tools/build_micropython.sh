#!/bin/sh
# build_micropython.sh mpy-cross|sim|sim-lwip|qemu|nina-board BUILD
# Build one part of MicroPython out of tree: into BUILD/mpy-cross, BUILD/sim, with lwIP and the
# _spinet_lwip in it BUILD/sim-lwip, for an emulated RISC-V core BUILD/qemu, or as a board whose
# network is a NINA BUILD/nina-board. The source is the folder that BUILD/micropython.source names,
# and nothing is ever written there.
set -eu
target=$1 build=$2
source=$(cat "$build/micropython.source")
project=$(cd "$(dirname "$0")/.." && pwd)
into=$build/$target

# Objects of another source tree, or half-written by a build that was killed, would be taken for
# up to date: start afresh.
if [ "$(cat "$into/built.from" 2>/dev/null)" != "$source" ] || [ -e "$into/unfinished" ]; then
    rm -rf "$into"
fi
# The port's makefile does not notice either that other objects are to be linked, or other flags,
# or that mbedTLS is another one, whose files may be older than the objects.
nina_board=$project/host_tests/support/nina_board
makefiles=$(find "$project/boards/SIM" "$project/boards/QEMU_RV32" "$project/firmware" "$nina_board" -name '*.mk')
# shellcheck disable=SC2086  # a list of files without spaces
if [ -n "$(find $makefiles "$build/mbedtls/.ready" -newer "$into/built.from" 2>/dev/null)" ]; then
    rm -rf "$into"
fi
mkdir -p "$into"
echo "$source" >"$into/built.from"
: >"$into/unfinished"

# The source is asked for its own version, not for that of the repository it is unpacked in.
export GIT_CEILING_DIRECTORIES="$build"

# Flags and variables of the calling make are not meant for MicroPython's makefiles.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

# What frozen_content.c is made with runs from the source; it shall leave no cache there.
export PYTHONDONTWRITEBYTECODE=1

# Nothing is frozen from micropython-lib, yet the makefiles insist on its README.
mkdir -p "$build/no-micropython-lib"
: >"$build/no-micropython-lib/README.md"

# Strings that fill their arrays to the last byte: MicroPython 1.25 has some, GCC 15 warns of them.
quiet=-Wno-unterminated-string-initialization

jobs=$(nproc 2>/dev/null || echo 1)
status=0
case $target in
mpy-cross)
    program=mpy-cross
    make -C "$source/mpy-cross" -j"$jobs" BUILD="$into" USER_C_MODULES= CFLAGS_EXTRA="$quiet" || status=$?
    ;;
sim | sim-lwip)
    program=micropython
    lwip=
    [ "$target" = sim ] || lwip=$build/lwip-2.2.1
    mbedtls=$build/mbedtls
    make -C "$source/ports/unix" -j"$jobs" BUILD="$into" \
        VARIANT_DIR="$project/boards/SIM" \
        FROZEN_MANIFEST="$project/boards/SIM/manifest.py" \
        USER_C_MODULES="$project/boards/SIM" LWIP_SOURCE="$lwip" \
        MBEDTLS_SOURCE="$mbedtls" CFLAGS_EXTRA="$quiet" \
        MICROPY_MPYCROSS="$build/mpy-cross/mpy-cross" MICROPY_MPYCROSS_DEPENDENCY= \
        MPY_LIB_DIR="$build/no-micropython-lib" || status=$?
    ;;
qemu)
    program=firmware.elf
    # GCC has its libraries for rv32imac, its assembler wants zicsr named; the computed goto is
    # what the chips' port is built with.
    make -C "$source/ports/qemu" -j"$jobs" BUILD="$into" BOARD=VIRT_RV32 \
        RV32_ARCH=rv32imac AFLAGS="-mabi=ilp32 -march=rv32imac_zicsr" \
        CFLAGS_EXTRA="-DMICROPY_OPT_COMPUTED_GOTO=1 $quiet" \
        MICROPY_VFS_LFS2=1 \
        USER_C_MODULES="$project/boards/QEMU_RV32" MBEDTLS_SOURCE="$build/mbedtls" \
        FROZEN_MANIFEST="$project/boards/QEMU_RV32/manifest.py" \
        MICROPY_MPYCROSS="$build/mpy-cross/mpy-cross" MICROPY_MPYCROSS_DEPENDENCY= \
        MPY_LIB_DIR="$build/no-micropython-lib" || status=$?
    ;;
nina-board)
    program=micropython
    make -C "$source/ports/unix" -j"$jobs" BUILD="$into" \
        VARIANT_DIR="$nina_board" USER_C_MODULES= MBEDTLS_DIR="$build/mbedtls" \
        CFLAGS_EXTRA="-isystem $build/mbedtls/include $quiet" \
        MPY_LIB_DIR="$build/no-micropython-lib" || status=$?
    ;;
*)
    echo "build_micropython.sh: unknown target $target" >&2
    exit 2
    ;;
esac

# A make that ended by itself, even with an error, has left whole objects only; one that was
# killed (a status above 128) may not have.
[ "$status" -gt 128 ] || rm "$into/unfinished"
[ "$status" -ne 0 ] || touch "$into/$program"
exit "$status"
