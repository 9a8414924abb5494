/* The public roots of SIM: a file of PEM. It is read once, and kept, as a chip's flash keeps its bundle. The
 * emulated core has no files, and so no roots. */
#include "mbedtls/x509_crt.h"
#include "tls_roots.h"

static mbedtls_x509_crt roots; /* without one: version is 0 */

int tls_trust_roots(mbedtls_ssl_config *configuration, const char *file) {
#ifdef MBEDTLS_FS_IO
    if (!roots.version) {
        mbedtls_x509_crt_init(&roots);
        mbedtls_x509_crt_parse_file(&roots, file); /* leaves out what this mbedTLS cannot read */
    }
#else
    (void)file;
#endif
    mbedtls_ssl_conf_ca_chain(configuration, &roots, NULL);
    return roots.version ? 0 : TLS_NO_ROOTS;
}

bool tls_is_of_root(mbedtls_x509_crt *certificate, int depth) {
    (void)certificate;
    (void)depth;
    return false;
}
