# MicroPython's unix port as a board with a NINA: its network and socket modules are those of the
# boards, over MicroPython's nina driver. Read by ports/unix/Makefile.

SRC_C += drivers/ninaw10/nina_wifi_drv.c
SHARED_SRC_C_EXTRA += netutils/netutils.c
INC += -I$(TOP)/drivers/ninaw10

# What the unix port never compiles does not keep to its warnings.
$(addprefix $(BUILD)/,drivers/ninaw10/nina_wifi_drv.o extmod/network_ninaw10.o extmod/modsocket.o): \
    CFLAGS += -Wno-error

# The port's own sockets are left out; mpconfigvariant.h has the boards' in.
MICROPY_PY_SOCKET = 0
$(BUILD)/modsocket.o: CFLAGS += -DMICROPY_PY_SOCKET=0
$(BUILD)/extmod/modsocket.o: CFLAGS += -DSOMAXCONN=128

# TLS is MicroPython's own, over the module's TCP; MBEDTLS_DIR is the builder's.
MICROPY_PY_SSL = 1
MICROPY_SSL_MBEDTLS = 1

# Nothing else that the port could have, and built in the least time.
MICROPY_PY_THREAD = 0
MICROPY_PY_FFI = 0
MICROPY_PY_BTREE = 0
MICROPY_PY_BLUETOOTH = 0
MICROPY_PY_TERMIOS = 0
MICROPY_STANDALONE = 0
MICROPY_USE_READLINE = 0
MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS1 = 0
MICROPY_VFS_LFS2 = 0
MICROPY_ROM_TEXT_COMPRESSION = 0
COPT = -O0
FROZEN_MANIFEST =
