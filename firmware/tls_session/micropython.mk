# The module _spinet_tls for MicroPython's make builds (SIM). mbedTLS itself comes from the board:
# boards/SIM/mbedtls/micropython.mk.

TLS_SESSION_DIR := $(USERMOD_DIR)

SRC_USERMOD_C += $(TLS_SESSION_DIR)/modtls.c
SRC_USERMOD_LIB_C += $(addprefix $(TLS_SESSION_DIR)/, tls_context.c tls_session.c)
CFLAGS_USERMOD += -I$(TLS_SESSION_DIR)
