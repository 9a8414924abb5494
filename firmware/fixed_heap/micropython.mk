# Python's heap of a fixed size, for MicroPython's make builds (SIM).

FIXED_HEAP_DIR := $(USERMOD_DIR)

SRC_USERMOD_LIB_C += $(FIXED_HEAP_DIR)/fixed_heap.c
LDFLAGS_USERMOD += -Wl,--wrap=gc_get_max_new_split
