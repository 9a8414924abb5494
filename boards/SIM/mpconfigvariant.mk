# SIM: MicroPython's unix port with Spinet frozen in. Read by ports/unix/Makefile.

# The port's own switch compiles with -DMICROPY_PY_THREAD_GIL=0 on the command line, where no
# header can overrule it. Threads are therefore switched on in mpconfigvariant.h, GIL and all,
# and only the library is named here.
MICROPY_PY_THREAD = 0
LDFLAGS_EXTRA += -lpthread

# Frozen viper functions are machine code of the computer that builds.
MPY_CROSS_FLAGS += -march=host

# Nothing that needs a library of the computer: no ffi (libffi), TLS (mbedTLS), btree
# (Berkeley DB) or Bluetooth (BTstack, libusb).
MICROPY_PY_FFI = 0
MICROPY_PY_SSL = 0
MICROPY_SSL_MBEDTLS = 0
MICROPY_PY_BTREE = 0
MICROPY_PY_BLUETOOTH = 0
MICROPY_STANDALONE = 0

# The port builds for size, in which SIM has no interest.
COPT = -O2

# Line editing and history at the REPL.
MICROPY_USE_READLINE = 1

# TCP for the sockets stack and for the virtual bus.
MICROPY_PY_SOCKET = 1

# Nothing here drives a terminal from Python.
MICROPY_PY_TERMIOS = 0

# The computer's own files are the file system; LFS2 stays, as it is what the chips have.
MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS1 = 0

# The growing heap is written for the chips' ports, which compile without this warning.
$(BUILD)/py/gc.o: CFLAGS += -Wno-pointer-arith
