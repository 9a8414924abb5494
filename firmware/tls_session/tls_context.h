/*
 * What a session presents to its peer, or what it trusts: a server's certificate and key, or a client's CA.
 *
 * PEM is given without a closing NUL. Errors are mbedTLS's: negative.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "mbedtls/pk.h"
#include "mbedtls/ssl.h"
#include "mbedtls/x509_crt.h"

/* The key does not belong to the certificate. */
#define TLS_STRANGERS MBEDTLS_ERR_PK_TYPE_MISMATCH

typedef struct {
    mbedtls_ssl_config configuration;
    mbedtls_x509_crt certificates; /* the server's own and those above it; or the CA's */
    mbedtls_pk_context key;
    int holders; /* its maker and the sessions, counted in one thread only; it is freed with the last */
} tls_context_t;

/* *context is set when 0 is returned. */
int tls_new_identity(const uint8_t *certificate, size_t certificate_size,
    const uint8_t *key, size_t key_size, tls_context_t **context);

/* ca NULL: every certificate is accepted. */
int tls_new_trust(const uint8_t *ca, size_t size, tls_context_t **context);

void tls_hold(tls_context_t *context);
void tls_let_go(tls_context_t *context);

/* 0 when the PEM has at least one certificate, and nothing but certificates; or a private key. */
int tls_check_certificate(const uint8_t *pem, size_t size);
int tls_check_key(const uint8_t *pem, size_t size);

#endif
