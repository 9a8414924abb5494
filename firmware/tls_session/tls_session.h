/*
 * TLS between two boxes of memory: ciphertext comes in by one and leaves by the other. Knows mbedTLS, and
 * neither sockets nor MicroPython.
 *
 * MicroPython's own `tls` does not serve here. It never sends close_notify, so that a peer takes every end
 * for a truncation. Its handshake holds the GIL, and an RSA signature takes longer than the controller waits.
 * It cannot tell whether a key belongs to a certificate.
 *
 * Threads: tls_step() may run in any thread while no other uses that session. All else belongs to one
 * thread. What sessions share, random numbers and PSA's keys, mbedTLS has locks for.
 *
 * Errors are mbedTLS's: negative. A session takes 26 KB of the C heap, of TLS 1.2 24 KB; during its
 * handshake up to 31 KB.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "tls_context.h"

#define TLS_PEER_ENDED MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY

/* The bytes start..end of the caller's memory. */
typedef struct {
    uint8_t *memory;
    size_t size;
    size_t start;
    size_t end;
} tls_box_t;

typedef struct {
    mbedtls_ssl_context ssl;
    tls_context_t *context;
    tls_box_t in;  /* from the peer, not read by mbedTLS yet */
    tls_box_t out; /* to the peer, not taken by the TCP stack yet */
    int error;     /* why the session ended; 0: it has not */
} tls_session_t;

/* server_name: a client's, for SNI and to be found in the peer's certificate; "": any name will do, and none is
 * sent; NULL for a server, and for a client that trusts every certificate. The caller sets memory and size of
 * both boxes, which must stay until tls_end(). */
int tls_begin(tls_session_t *session, tls_context_t *context, const char *server_name);
void tls_end(tls_session_t *session);

/* Goes on with the handshake. 1: done; 0: it needs input or room for output; or why it failed. */
int tls_step(tls_session_t *session);

/* How many decrypted bytes tls_open() can give; decrypts a record when there are none. 0: it needs input.
 * TLS_PEER_ENDED: the peer sent close_notify. Or why the session is broken. */
int tls_look(tls_session_t *session);

/* Gives at most `size` of those. */
int tls_open(tls_session_t *session, uint8_t *into, size_t size);

/* Encrypts as many bytes as fit in the box `out`; returns how many, 0 included. */
int tls_seal(tls_session_t *session, const uint8_t *from, size_t size);

/* Puts close_notify into the box `out`, if there is room. */
void tls_finish(tls_session_t *session);

/* Room behind the bytes in a box, after they were moved to its beginning. */
size_t tls_box_room(tls_box_t *box);

/* Removes the first n bytes of a box. */
void tls_box_drop(tls_box_t *box, size_t n);

/* An error in words; NULL: there is only its number. */
const char *tls_reason(const tls_session_t *session, int error);

#endif
