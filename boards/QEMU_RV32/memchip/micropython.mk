# What a chip has in C, in memory: for the emulated core, whose instructions are counted.

MEMCHIP_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(MEMCHIP_DIR)/memchip.c

# As in the chips' mpconfigboard.h, for all of MicroPython.
CFLAGS_USERMOD += -DMICROPY_ALLOC_GC_STACK_SIZE=192

# MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(MEMCHIP_DIR)/../../../firmware/common)
include $(USERMOD_DIR)/micropython.mk
