/*
 * TLS over two boxes of memory: ciphertext in, ciphertext out. Knows mbedTLS, and neither sockets nor
 * MicroPython.
 *
 * Why MicroPython's own `tls` does not serve: it never says close_notify, so that every end looks
 * like a cut to the peer; its handshake runs with the GIL held, and an RSA signature takes longer
 * than the controller waits; and it cannot tell whether a key belongs to a certificate.
 *
 * Threads: tls_step() may run in any one thread while nobody else touches that session. All else is
 * for one thread. The random numbers that both need are behind a lock.
 *
 * Errors are mbedTLS's: negative. Memory comes from the C heap: about 22 KB for each session, and as
 * much again in pieces while it shakes hands.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mbedtls/ssl.h"

#define TLS_PEER_ENDED MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY
#define TLS_STRANGERS MBEDTLS_ERR_PK_TYPE_MISMATCH

/* Who we are (a server's certificate and key), or whom we believe (a client's CA). Counted: lives
 * until its maker and every session have let go. */
typedef struct tls_context tls_context_t;

/* PEM without a closing NUL. *context is set when the answer is 0. TLS_STRANGERS: the key does not
 * belong to the certificate. */
int tls_new_identity(const uint8_t *certificate, size_t certificate_size,
    const uint8_t *key, size_t key_size, tls_context_t **context);
/* ca NULL: any certificate will do. */
int tls_new_trust(const uint8_t *ca, size_t size, tls_context_t **context);
void tls_let_go(tls_context_t *context);

/* 0 when the PEM holds nothing but certificates, at least one; or a private key. */
int tls_check_certificate(const uint8_t *pem, size_t size);
int tls_check_key(const uint8_t *pem, size_t size);

/* Bytes start..end of a box of the caller's memory. */
typedef struct {
    uint8_t *memory;
    size_t size;
    size_t start;
    size_t end;
} tls_box_t;

typedef struct {
    mbedtls_ssl_context ssl;
    tls_context_t *context;
    tls_box_t in;  /* came from the peer, not yet looked at */
    tls_box_t out; /* for the peer, not yet taken by the stack */
    int error;     /* what ended it; 0 while nothing has */
} tls_session_t;

/* A client's server_name (SNI, and what its certificate must be made out to); NULL for a server. The
 * boxes' memory and size are set by the caller and stay until tls_end(). */
int tls_begin(tls_session_t *session, tls_context_t *context, const char *server_name);
void tls_end(tls_session_t *session);

/* One go at the handshake: 1 done, 0 it wants input or room for output, or why it failed. */
int tls_step(tls_session_t *session);

/* How many decrypted bytes tls_open() can give: decrypts a record when there are none. 0: it wants
 * input. TLS_PEER_ENDED: the peer said close_notify. Or why the session is broken. */
int tls_look(tls_session_t *session);
/* Takes at most `size` of those. */
int tls_open(tls_session_t *session, uint8_t *into, size_t size);

/* Encrypts what fits in the box `out`; how many bytes that are, 0 included. */
int tls_seal(tls_session_t *session, const uint8_t *from, size_t size);
/* close_notify into the box, if there is room. */
void tls_finish(tls_session_t *session);

/* Room behind the bytes in a box, after they were moved to its beginning. */
size_t tls_box_room(tls_box_t *box);
/* The first n bytes of a box were dealt with. */
void tls_box_drop(tls_box_t *box, size_t n);

/* What an error means, for somebody who reads the last error; NULL: only its number can be told. */
const char *tls_reason(const tls_session_t *session, int error);

#endif
