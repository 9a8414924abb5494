# What is stopped at a soft reset, for MicroPython's make builds; for modules in C, not for Python.

SOFT_RESET_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(SOFT_RESET_DIR)/soft_reset.c
SRC_USERMOD_LIB_C += $(SOFT_RESET_DIR)/stops.c
CFLAGS_USERMOD += -I$(SOFT_RESET_DIR)
