# firmware/tls_session and mbedTLS as a user module of the emulated core, as they are in SIM, over the
# core's memory.

QEMU_TLS_DIR := $(USERMOD_DIR)
SRC_USERMOD_LIB_C += $(QEMU_TLS_DIR)/system.c
MBEDTLS_CONFIG := $(QEMU_TLS_DIR)/mbedtls_config.h

# MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(QEMU_TLS_DIR)/../../SIM/mbedtls)
include $(USERMOD_DIR)/micropython.mk
