# lwIP, its port, firmware/lwip and what that needs as a user module of MicroPython's unix port: SIM with lwIP.
#
# Takes part only when LWIP_SOURCE (what tools/fetch_lwip.py made) is given. lwIP is other people's
# code: it is compiled without MicroPython's stricter warnings.

ifneq ($(LWIP_SOURCE),)
SIM_LWIP_DIR := $(USERMOD_DIR)
include $(SIM_LWIP_DIR)/lwip.mk

SRC_USERMOD_C += $(SIM_LWIP_DIR)/modsimlwip.c
SRC_USERMOD_LIB_C += $(LWIP_C) $(LWIP_PORT_C) $(addprefix $(SIM_LWIP_DIR)/, sim_stack.c sim_wait.c)
CFLAGS_USERMOD += $(LWIP_CFLAGS)
LDFLAGS_USERMOD += $(LWIP_LDFLAGS)
QSTR_GLOBAL_REQUIREMENTS += $(LWIP_SDKCONFIG) # of all that comes before the first object

# MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(SIM_LWIP_DIR)/../../../firmware/lwip)
include $(USERMOD_DIR)/micropython.mk

# Python never starts afresh within a process here: its end is the end of lwIP as well.
CFLAGS_USERMOD += -DSTOP_AT_SOFT_RESET=0
endif
