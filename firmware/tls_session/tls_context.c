#include "tls_context.h"

#include <stdlib.h>
#include <string.h>

#include "tls_roots.h"

#include "mbedtls/oid.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/psa_util.h"

/* ---- random numbers ---- */

/* PSA's, which TLS 1.3 uses too. They have a lock: handshakes and records need them in different threads. */
static int draw(void *unused, unsigned char *into, size_t size) {
    (void)unused;
    psa_crypto_init(); /* the first time; if it fails, the next line does */
    return mbedtls_psa_get_random(MBEDTLS_PSA_RANDOM_STATE, into, size);
}

/* ---- PEM, which mbedTLS wants with a closing NUL ---- */

static uint8_t *with_nul(const uint8_t *pem, size_t size) {
    uint8_t *text = malloc(size + 1);
    if (text) {
        memcpy(text, pem, size);
        text[size] = 0;
    }
    return text;
}

static void wipe(uint8_t *text, size_t size) {
    mbedtls_platform_zeroize(text, size);
    free(text);
}

static int parse_certificates(mbedtls_x509_crt *chain, const uint8_t *pem, size_t size) {
    uint8_t *text = with_nul(pem, size);
    if (!text) {
        return MBEDTLS_ERR_X509_ALLOC_FAILED;
    }
    int error = mbedtls_x509_crt_parse(chain, text, size + 1);
    free(text);
    /* A positive answer is the number of certificates that could not be read: all have to be good. */
    return error > 0 ? MBEDTLS_ERR_X509_INVALID_FORMAT : error;
}

static int parse_key(mbedtls_pk_context *key, const uint8_t *pem, size_t size) {
    uint8_t *text = with_nul(pem, size);
    if (!text) {
        return MBEDTLS_ERR_PK_ALLOC_FAILED;
    }
    int error = mbedtls_pk_parse_key(key, text, size + 1, NULL, 0, draw, NULL);
    wipe(text, size + 1);
    return error;
}

int tls_check_certificate(const uint8_t *pem, size_t size) {
    mbedtls_x509_crt chain;
    mbedtls_x509_crt_init(&chain);
    int error = parse_certificates(&chain, pem, size);
    mbedtls_x509_crt_free(&chain);
    return error;
}

int tls_check_key(const uint8_t *pem, size_t size) {
    mbedtls_pk_context key;
    mbedtls_pk_init(&key);
    int error = parse_key(&key, pem, size);
    mbedtls_pk_free(&key);
    return error;
}

/* ---- contexts ---- */

static tls_context_t *new_context(void) {
    tls_context_t *context = calloc(1, sizeof(*context));
    if (context) {
        context->holders = 1;
        mbedtls_ssl_config_init(&context->configuration);
        mbedtls_x509_crt_init(&context->certificates);
        mbedtls_pk_init(&context->key);
    }
    return context;
}

void tls_hold(tls_context_t *context) {
    context->holders++;
}

void tls_let_go(tls_context_t *context) {
    if (--context->holders) {
        return;
    }
    mbedtls_ssl_config_free(&context->configuration);
    mbedtls_x509_crt_free(&context->certificates);
    mbedtls_pk_free(&context->key);
    if (context->identity) {
        tls_let_go(context->identity);
    }
    free(context);
}

/* ---- dates, as seconds since 1970 ---- */

/* Years begin in March here: a leap day is the last of its year. */
static int64_t seconds_at(const mbedtls_x509_time *t) {
    int year = t->mon > 2 ? t->year : t->year - 1;
    int64_t days = 365LL * year + year / 4 - year / 100 + year / 400;
    days += (153 * ((t->mon + 9) % 12) + 2) / 5 + t->day - 719469;
    return ((days * 24 + t->hour) * 60 + t->min) * 60 + t->sec;
}

static int64_t seconds_of_build(const char *built) {
    char *rest;
    mbedtls_x509_time t = {0};
    t.year = (int)strtol(built, &rest, 10);
    t.mon = (int)strtol(rest + 1, &rest, 10);
    t.day = (int)strtol(rest + 1, &rest, 10);
    return seconds_at(&t);
}

/* mbedTLS judges dates by the C library's clock, which starts in the year 2000 at each power-up, when no
 * certificate was valid yet. So this replaces its results about dates. Its other results stay, unless one of the
 * board's roots has signed a certificate for which it found no CA. */
static int judge(void *argument, mbedtls_x509_crt *certificate, int depth, uint32_t *flags) {
    const tls_context_t *context = argument;
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    if (!context->least) {
        return 0;
    }
    if (*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED && tls_is_of_root(certificate, depth)) {
        /* A root is trusted even if its own signature has a weak digest. */
        *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_NOT_TRUSTED | MBEDTLS_X509_BADCERT_BAD_MD);
    }
    if (seconds_at(&certificate->valid_to) < context->least) {
        *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    }
    if (context->known && seconds_at(&certificate->valid_from) > context->least) {
        *flags |= MBEDTLS_X509_BADCERT_FUTURE;
    }
    return 0;
}

static int configure(tls_context_t *context, int endpoint, int verify) {
    mbedtls_ssl_config *configuration = &context->configuration;
    int error = mbedtls_ssl_config_defaults(
        configuration, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_authmode(configuration, verify);
    mbedtls_ssl_conf_verify(configuration, judge, context);
    mbedtls_ssl_conf_rng(configuration, draw, NULL);
    return error;
}

/* Other errors, such as a lack of memory, do not show whether they belong together. */
static int check_pair(const tls_context_t *context) {
    int error = mbedtls_pk_check_pair(&context->certificates.pk, &context->key, draw, NULL);
    switch (error) {
        case MBEDTLS_ERR_PK_BAD_INPUT_DATA:
        case MBEDTLS_ERR_RSA_KEY_CHECK_FAILED:
        case MBEDTLS_ERR_ECP_BAD_INPUT_DATA:
            return TLS_STRANGERS;
        default:
            return error;
    }
}

static int fill_identity(tls_context_t *context, const uint8_t *certificate, size_t certificate_size,
    const uint8_t *key, size_t key_size) {
    int error = parse_certificates(&context->certificates, certificate, certificate_size);
    if (!error) {
        error = parse_key(&context->key, key, key_size);
    }
    if (!error) {
        error = check_pair(context);
    }
    if (!error) {
        error = configure(context, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_VERIFY_NONE);
    }
    if (!error) {
        error = mbedtls_ssl_conf_own_cert(
            &context->configuration, &context->certificates, &context->key);
    }
    return error;
}

static int fill_trust(tls_context_t *context, const uint8_t *ca, size_t size) {
    int error = ca ? parse_certificates(&context->certificates, ca, size) : 0;
    if (!error) {
        error = configure(context, MBEDTLS_SSL_IS_CLIENT,
            ca ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    }
    if (ca) {
        mbedtls_ssl_conf_ca_chain(&context->configuration, &context->certificates, NULL);
    }
    return error;
}

static int fill_roots(tls_context_t *context, const char *file) {
    mbedtls_ssl_config *configuration = &context->configuration;
    int error = configure(context, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_VERIFY_REQUIRED);
    if (!error) {
        error = tls_trust_roots(configuration, file);
        mbedtls_ssl_conf_verify(configuration, judge, context); /* the roots may have brought another */
    }
    if (!error && context->identity) {
        error = mbedtls_ssl_conf_own_cert(
            configuration, &context->identity->certificates, &context->identity->key);
    }
    return error;
}

static int filled(tls_context_t *made, int error, tls_context_t **context) {
    if (error) {
        tls_let_go(made);
    } else {
        *context = made;
    }
    return error;
}

int tls_new_identity(const uint8_t *certificate, size_t certificate_size,
    const uint8_t *key, size_t key_size, tls_context_t **context) {
    tls_context_t *made = new_context();
    if (!made) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return filled(made, fill_identity(made, certificate, certificate_size, key, key_size), context);
}

int tls_new_trust(const uint8_t *ca, size_t size, tls_context_t **context) {
    tls_context_t *made = new_context();
    if (!made) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return filled(made, fill_trust(made, ca, size), context);
}

int tls_new_roots(const char *file, uint32_t seconds, const char *built, tls_context_t *identity,
    tls_context_t **context) {
    tls_context_t *made = new_context();
    if (!made) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    made->known = seconds != 0;
    made->least = seconds_of_build(built);
    if (made->least < seconds) {
        made->least = seconds;
    }
    if (identity) {
        made->identity = identity;
        tls_hold(identity);
    }
    return filled(made, fill_roots(made, file), context);
}

static int verify_itself(tls_context_t *context) {
    mbedtls_x509_crt *own = &context->certificates;
    uint32_t flags;
    if (own->next) {
        return TLS_SEVERAL;
    }
    int error = mbedtls_x509_crt_verify(own, own, NULL, NULL, &flags, judge, context);
    if (!error) {
        error = mbedtls_x509_crt_check_key_usage(own, MBEDTLS_X509_KU_DIGITAL_SIGNATURE);
    }
    if (!error) {
        error = mbedtls_x509_crt_check_extended_key_usage(
            own, MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH));
    }
    return error;
}

int tls_check_own(const uint8_t *pem, size_t size) {
    tls_context_t *trust;
    int error = tls_new_trust(pem, size, &trust);
    if (!error) {
        error = verify_itself(trust);
        tls_let_go(trust);
    }
    return error;
}
