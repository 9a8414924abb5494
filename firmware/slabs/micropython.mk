# The module _spinet_slabs for MicroPython's make builds (the emulated core). ESP-IDF's heap comes from the
# board: boards/QEMU_RV32/slabs; firmware/common with memchip.

SLABS_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(SLABS_DIR)/modslabs.c
SRC_USERMOD_LIB_C += $(SLABS_DIR)/slabs.c
CFLAGS_USERMOD += -I$(SLABS_DIR)
