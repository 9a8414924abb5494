# Read by MicroPython's build: the binding is scanned for names, the core is plain C.
SIMBUS_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(SIMBUS_DIR)/modsimbus.c
SRC_USERMOD_LIB_C += $(SIMBUS_DIR)/frames.c
CFLAGS_USERMOD += -I$(SIMBUS_DIR)
