# Read by MicroPython's build: the bindings are scanned for names, the cores are plain C.
SIMBUS_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(addprefix $(SIMBUS_DIR)/,modsimbus.c selected_binding.c)
SRC_USERMOD_LIB_C += $(addprefix $(SIMBUS_DIR)/,frames.c selected.c)
CFLAGS_USERMOD += -I$(SIMBUS_DIR)
