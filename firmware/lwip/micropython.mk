# The netconn module for MicroPython's make builds (SIM). The port file and lwIP itself come from the
# board: boards/SIM/lwip/micropython.mk.

NETCONN_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(NETCONN_DIR)/modnetconn.c
SRC_USERMOD_LIB_C += $(addprefix $(NETCONN_DIR)/, \
    admission.c dying.c entry.c opening.c receiving.c sending.c time_wait.c waiting.c)
CFLAGS_USERMOD += -I$(NETCONN_DIR)
