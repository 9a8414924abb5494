/* What tls_context.c and tls_session.c share. */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls_session.h"

#include "mbedtls/pk.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/x509_crt.h"

struct tls_context {
    mbedtls_ssl_config configuration;
    mbedtls_x509_crt certificates; /* our own and those above it; or the CA's */
    mbedtls_pk_context key;
    int holders; /* its maker and the sessions; changed in one thread only */
};

void tls_hold(tls_context_t *context);

#endif
