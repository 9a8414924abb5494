# mbedTLS and firmware/tls_session as a user module of MicroPython's unix port.
#
# Takes part only when MBEDTLS_SOURCE (what tools/fetch_mbedtls.py made) is given. MicroPython's own
# `tls` stays out; a source tree of MicroPython without its submodules will do.

ifneq ($(MBEDTLS_SOURCE),)
SIM_MBEDTLS_DIR := $(USERMOD_DIR)
MBEDTLS_CONFIG ?= $(SIM_MBEDTLS_DIR)/mbedtls_config.h

# What tls_session and the configuration beside this file need of it.
SRC_USERMOD_LIB_C += $(addprefix $(MBEDTLS_SOURCE)/library/, \
    aes.c aesni.c asn1parse.c asn1write.c base64.c bignum.c bignum_core.c bignum_mod.c \
    bignum_mod_raw.c chacha20.c chachapoly.c cipher.c cipher_wrap.c constant_time.c ctr_drbg.c \
    ecdh.c ecdsa.c ecp.c ecp_curves.c entropy.c entropy_poll.c gcm.c md.c oid.c pem.c pk.c pk_ecc.c \
    pk_wrap.c pkparse.c platform.c platform_util.c poly1305.c rsa.c rsa_alt_helpers.c sha1.c \
    psa_util.c sha256.c sha512.c ssl_ciphersuites.c ssl_client.c ssl_msg.c ssl_tls.c ssl_tls12_client.c \
    ssl_tls12_server.c ssl_tls13_client.c ssl_tls13_generic.c ssl_tls13_keys.c ssl_tls13_server.c \
    threading.c x509.c x509_crt.c)
SRC_USERMOD_LIB_C += $(wildcard $(MBEDTLS_SOURCE)/library/psa_crypto*.c)
SRC_USERMOD_LIB_C += $(SIM_MBEDTLS_DIR)/roots_file.c
CFLAGS_USERMOD += -isystem $(MBEDTLS_SOURCE)/include \
    -DMBEDTLS_CONFIG_FILE='"$(MBEDTLS_CONFIG)"'

# MicroPython looks for modules one level below one folder only.
USERMOD_DIR := $(abspath $(SIM_MBEDTLS_DIR)/../../../firmware/tls_session)
include $(USERMOD_DIR)/micropython.mk
endif
