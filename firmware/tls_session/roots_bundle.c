/* The public roots of chips: ESP-IDF's certificate bundle, which is in flash and takes no memory. */
#include "sdkconfig.h"
#include "tls_roots.h"

#if CONFIG_MBEDTLS_CERTIFICATE_BUNDLE
#include "esp_crt_bundle.h"

static int (*find)(void *, mbedtls_x509_crt *, int, uint32_t *); /* the bundle's callback; it is always the same */

int tls_trust_roots(mbedtls_ssl_config *configuration, const char *file) {
    (void)file;
    if (esp_crt_bundle_attach(configuration) != ESP_OK) {
        return TLS_NO_ROOTS;
    }
    find = configuration->MBEDTLS_PRIVATE(f_vrfy);
    return 0;
}

bool tls_is_of_root(mbedtls_x509_crt *certificate, int depth) {
    /* The bundle's callback looks for a root only if this is the only flag. */
    uint32_t flags = MBEDTLS_X509_BADCERT_NOT_TRUSTED;
    return find(NULL, certificate, depth, &flags) == 0 && flags == 0;
}

#else

int tls_trust_roots(mbedtls_ssl_config *configuration, const char *file) {
    (void)configuration;
    (void)file;
    return TLS_NO_ROOTS;
}

bool tls_is_of_root(mbedtls_x509_crt *certificate, int depth) {
    (void)certificate;
    (void)depth;
    return false;
}

#endif
