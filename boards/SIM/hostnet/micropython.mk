# Read by MicroPython's build: the binding is scanned for names, the core is plain C.
HOSTNET_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(HOSTNET_DIR)/modhostnet.c
SRC_USERMOD_LIB_C += $(HOSTNET_DIR)/hostnet.c
CFLAGS_USERMOD += -I$(HOSTNET_DIR)
