/*
 * The public roots that servers are verified with. They are in ESP-IDF's certificate bundle (roots_bundle.c), or
 * in a file (boards/SIM/mbedtls/roots_file.c), depending on the board.
 */
#ifndef TLS_ROOTS_H
#define TLS_ROOTS_H

#include <stdbool.h>

#include "mbedtls/ssl.h"

/* There are no roots, or they cannot be read. */
#define TLS_NO_ROOTS MBEDTLS_ERR_X509_FILE_IO_ERROR

/* Makes a client's configuration trust the roots; 0, or an error. `file` is for boards that have them in a file. */
int tls_trust_roots(mbedtls_ssl_config *configuration, const char *file);

/* True when one of the roots has signed this certificate, which is the last of its chain. False too where
 * mbedTLS itself knows the roots. */
bool tls_is_of_root(mbedtls_x509_crt *certificate, int depth);

#endif
