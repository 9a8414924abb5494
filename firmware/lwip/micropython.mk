# The module _spinet_lwip for MicroPython's make builds (SIM). platform.h and lwIP itself come from the
# board: boards/SIM/lwip/micropython.mk.

LWIP_MODULE_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(addprefix $(LWIP_MODULE_DIR)/, moddatagrams.c modlwip.c)
SRC_USERMOD_LIB_C += $(addprefix $(LWIP_MODULE_DIR)/, \
    accept_queue.c admission.c datagrams.c ending.c entry.c netconn.c ping.c receiving.c sending.c \
    time_wait.c)
CFLAGS_USERMOD += -I$(LWIP_MODULE_DIR)
