/*
 * What a session presents to its peer, and what it trusts: a server's certificate and key; a client's CA; or
 * the public roots, and with them a client's certificate and key.
 *
 * PEM is given without a closing NUL. Errors are mbedTLS's: negative.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mbedtls/pk.h"
#include "mbedtls/ssl.h"
#include "mbedtls/x509_crt.h"

/* The key does not belong to the certificate. */
#define TLS_STRANGERS MBEDTLS_ERR_PK_TYPE_MISMATCH

/* There is more than one certificate. */
#define TLS_SEVERAL MBEDTLS_ERR_X509_FATAL_ERROR

typedef struct tls_context {
    mbedtls_ssl_config configuration;
    mbedtls_x509_crt certificates; /* its own and those above it; or the CA's */
    mbedtls_pk_context key;
    struct tls_context *identity; /* of a client, which it holds; or NULL */
    int64_t least; /* the time is this or later, in seconds since 1970; 0: dates are not judged */
    bool known;    /* the time is `least`; false: it may be later */
    int holders; /* its maker and the sessions, counted in one thread only; it is freed with the last */
} tls_context_t;

/* *context is set when 0 is returned. */
int tls_new_identity(const uint8_t *certificate, size_t certificate_size,
    const uint8_t *key, size_t key_size, tls_context_t **context);

/* ca NULL: every certificate is accepted. */
int tls_new_trust(const uint8_t *ca, size_t size, tls_context_t **context);

/* The board's public roots; `file` is for boards that have them in a file. `seconds`: the time since 1970, or 0 if
 * it is unknown. `built`: the date of the firmware ("2026-12-31"), which the time is not before. An expired
 * certificate is refused; one that is not valid yet only if the time is known. `identity`: a client's, or NULL. */
int tls_new_roots(const char *file, uint32_t seconds, const char *built, tls_context_t *identity,
    tls_context_t **context);

void tls_hold(tls_context_t *context);
void tls_let_go(tls_context_t *context);

/* 0 when the PEM has at least one certificate, and nothing but certificates; or a private key. */
int tls_check_certificate(const uint8_t *pem, size_t size);
int tls_check_key(const uint8_t *pem, size_t size);

/* 0 when a client whose CA is this certificate accepts a server that shows it. */
int tls_check_own(const uint8_t *pem, size_t size);

#endif
