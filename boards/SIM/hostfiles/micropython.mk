# Read by MicroPython's build: the binding is all there is.
HOSTFILES_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(HOSTFILES_DIR)/modhostfiles.c
