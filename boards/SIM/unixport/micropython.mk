# Read by MicroPython's build: plain C, no names for Python.
UNIXPORT_DIR := $(USERMOD_DIR)
SRC_USERMOD_LIB_C += $(UNIXPORT_DIR)/unixport.c

LDFLAGS_USERMOD += -Wl,--wrap=mp_thread_mutex_lock,--wrap=sem_wait
LDFLAGS_USERMOD += -Wl,--wrap=mp_hal_set_interrupt_char,--wrap=mp_vfs_import_stat

# As on the chips. MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(UNIXPORT_DIR)/../../../firmware/common)
include $(USERMOD_DIR)/micropython.mk
