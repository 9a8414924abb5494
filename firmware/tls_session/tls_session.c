#include "tls_session.h"

#include <stdbool.h>
#include <string.h>

#include "tls_roots.h"

#include "mbedtls/pem.h"

/* ---- boxes ---- */

static size_t box_count(const tls_box_t *box) {
    return box->end - box->start;
}

size_t tls_box_room(tls_box_t *box) {
    if (box->start) {
        memmove(box->memory, box->memory + box->start, box_count(box));
        box->end -= box->start;
        box->start = 0;
    }
    return box->size - box->end;
}

void tls_box_drop(tls_box_t *box, size_t n) {
    box->start += n;
    if (box->start == box->end) {
        box->start = box->end = 0;
    }
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* ---- what mbedTLS calls ---- */

static int take_input(void *context, unsigned char *into, size_t size) {
    tls_box_t *in = &((tls_session_t *)context)->in;
    size_t n = smaller(size, box_count(in));
    if (!n) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(into, in->memory + in->start, n);
    tls_box_drop(in, n);
    return (int)n;
}

static int put_output(void *context, const unsigned char *from, size_t size) {
    tls_box_t *out = &((tls_session_t *)context)->out;
    size_t n = smaller(size, tls_box_room(out));
    if (!n) {
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    }
    memcpy(out->memory + out->end, from, n);
    out->end += n;
    return (int)n;
}

/* ---- a session's life ---- */

int tls_begin(tls_session_t *session, tls_context_t *context, const char *server_name) {
    mbedtls_ssl_init(&session->ssl);
    session->context = context;
    session->error = 0;
    tls_hold(context);
    int error = mbedtls_ssl_setup(&session->ssl, &context->configuration);
    if (!error && server_name) {
        error = mbedtls_ssl_set_hostname(&session->ssl, *server_name ? server_name : NULL);
    }
    if (error) {
        tls_end(session);
        return error;
    }
    mbedtls_ssl_set_bio(&session->ssl, session, put_output, take_input, NULL);
    return 0;
}

void tls_end(tls_session_t *session) {
    if (session->context) {
        mbedtls_ssl_free(&session->ssl);
        tls_let_go(session->context);
        session->context = NULL;
    }
}

static bool wants_more(int answer) {
    return answer == MBEDTLS_ERR_SSL_WANT_READ || answer == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* 0 when mbedTLS wants more input or room. Any other error ends the session. */
static int outcome(tls_session_t *session, int answer) {
    if (answer >= 0 || wants_more(answer)) {
        return answer < 0 ? 0 : answer;
    }
    session->error = answer;
    return answer;
}

int tls_step(tls_session_t *session) {
    if (session->error) {
        return session->error;
    }
    int answer = mbedtls_ssl_handshake(&session->ssl);
    return answer == 0 ? 1 : outcome(session, answer);
}

/* ---- records ---- */

int tls_look(tls_session_t *session) {
    size_t there = mbedtls_ssl_get_bytes_avail(&session->ssl);
    if (there || session->error) {
        return there ? (int)there : session->error;
    }
    int answer = mbedtls_ssl_read(&session->ssl, NULL, 0);
    there = mbedtls_ssl_get_bytes_avail(&session->ssl);
    return there ? (int)there : outcome(session, answer);
}

int tls_open(tls_session_t *session, uint8_t *into, size_t size) {
    size_t n = smaller(size, mbedtls_ssl_get_bytes_avail(&session->ssl));
    return n ? outcome(session, mbedtls_ssl_read(&session->ssl, into, n)) : 0;
}

/* How many bytes can be encrypted into the box at once, with any cipher. */
static size_t sealable(tls_session_t *session) {
    int overhead = mbedtls_ssl_get_record_expansion(&session->ssl);
    int limit = mbedtls_ssl_get_max_out_record_payload(&session->ssl);
    size_t room = tls_box_room(&session->out);
    if (overhead < 0 || limit < 0 || room <= (size_t)overhead) {
        return 0;
    }
    return smaller(room - (size_t)overhead, (size_t)limit);
}

int tls_seal(tls_session_t *session, const uint8_t *from, size_t size) {
    size_t n = smaller(size, sealable(session));
    if (session->error && session->error != TLS_PEER_ENDED) {
        return session->error;
    }
    return n ? outcome(session, mbedtls_ssl_write(&session->ssl, from, n)) : 0;
}

void tls_finish(tls_session_t *session) {
    if (mbedtls_ssl_is_handshake_over(&session->ssl) && sealable(session) >= 2) {
        mbedtls_ssl_close_notify(&session->ssl);
    }
}

/* ---- reasons ---- */

static const struct {
    uint32_t flag;
    const char *reason;
} refusals[] = {
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "the certificate is not from a CA that is trusted"},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, "the certificate is made out to another name"},
    {MBEDTLS_X509_BADCERT_EXPIRED, "the certificate has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE, "the certificate is not valid yet"},
};

static const char *why_refused(const tls_session_t *session) {
    uint32_t flags = mbedtls_ssl_get_verify_result(&session->ssl);
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (flags & refusals[i].flag) {
            return refusals[i].reason;
        }
    }
    return "the certificate is not acceptable";
}

#define UNREADABLE "it is no PEM that can be read"
#define UNKNOWN_KIND "its kind of key is not known here: EC and RSA are"

static const struct {
    int error; /* the high-level part: mbedTLS adds a cause to some, in the low 7 bits */
    const char *reason;
} reasons[] = {
    {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, "the peer refuses"},
    {MBEDTLS_ERR_SSL_CONN_EOF, "the peer left"},
    {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, "no cipher in common"},
    {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, "no TLS version in common"},
    {MBEDTLS_ERR_SSL_INVALID_RECORD, "the peer does not speak TLS"},
    {MBEDTLS_ERR_SSL_ALLOC_FAILED, "out of memory"},
    {MBEDTLS_ERR_X509_ALLOC_FAILED, "out of memory"},
    {MBEDTLS_ERR_PK_ALLOC_FAILED, "out of memory"},
    {MBEDTLS_ERR_PK_PASSWORD_REQUIRED, "the key is encrypted"},
    {TLS_NO_ROOTS, "no CA is known"},
    {TLS_STRANGERS, "it does not belong to the certificate"},
    {TLS_SEVERAL, "there is more than one"},
    {MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, "it has not signed itself, or is too weak"},
    {MBEDTLS_ERR_X509_BAD_INPUT_DATA, "it is not for TLS servers"},
    {MBEDTLS_ERR_X509_CERT_UNKNOWN_FORMAT, UNREADABLE},
    {MBEDTLS_ERR_X509_INVALID_FORMAT, UNREADABLE},
    {MBEDTLS_ERR_PEM_INVALID_DATA, UNREADABLE},
    {MBEDTLS_ERR_PK_KEY_INVALID_FORMAT, UNREADABLE},
    {MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG, UNKNOWN_KIND},
    {MBEDTLS_ERR_X509_INVALID_ALG, UNKNOWN_KIND},
    {MBEDTLS_ERR_PK_UNKNOWN_PK_ALG, UNKNOWN_KIND},
    {MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE, "its curve is not known here: P-256 is"},
};

const char *tls_reason(const tls_session_t *session, int error) {
    if (session && error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        return why_refused(session);
    }
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (-(-error & ~0x7F) == reasons[i].error) {
            return reasons[i].reason;
        }
    }
    return NULL;
}
