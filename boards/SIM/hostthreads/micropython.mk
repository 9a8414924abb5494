# Read by MicroPython's build: plain C, no names for Python.
HOSTTHREADS_DIR := $(USERMOD_DIR)
SRC_USERMOD_LIB_C += $(HOSTTHREADS_DIR)/hostthreads.c

# The port's mutex function stays in use for every mutex but the GIL.
LDFLAGS_USERMOD += -Wl,--wrap=mp_thread_mutex_lock
