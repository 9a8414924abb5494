# What the C modules share, and Python's heap of a fixed size, for MicroPython's make builds (SIM and the
# emulated core). None of it is a module for Python.

COMMON_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(COMMON_DIR)/soft_reset.c
SRC_USERMOD_LIB_C += $(COMMON_DIR)/fixed_heap.c $(COMMON_DIR)/stops.c
CFLAGS_USERMOD += -I$(COMMON_DIR)
LDFLAGS_USERMOD += -Wl,--wrap=gc_get_max_new_split
