# firmware/slabs as a user module of the emulated core, over a heap that is as good as ESP-IDF's for it.

SLABS_HEAP_DIR := $(USERMOD_DIR)
SRC_USERMOD_LIB_C += $(SLABS_HEAP_DIR)/heap_caps.c
CFLAGS_USERMOD += -I$(SLABS_HEAP_DIR)

# MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(SLABS_HEAP_DIR)/../../../firmware/slabs)
include $(USERMOD_DIR)/micropython.mk
