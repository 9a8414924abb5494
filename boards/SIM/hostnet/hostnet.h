/*
 * What the computer's sockets can do and MicroPython's socket class does not offer.
 *
 * Every function works on a file descriptor, never blocks, never signals, allocates nothing
 * and answers a small integer: 0 or a count, or an errno value made negative.
 */

#ifndef HOSTNET_H
#define HOSTNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* local port u16 LE, remote port u16 LE, remote IPv4 address in network order */
#define HOSTNET_ADDRESSES_SIZE (8)

/* Bytes read, 0 at the end of the stream. n is at least 1, else 0 would mean two things. */
int hostnet_recv(int fd, uint8_t *buf, size_t n);

/* Bytes taken. more: the caller has further bytes at hand, so a part-filled segment may wait
 * for them; without it what was taken goes out at once, the last segment with PSH. */
int hostnet_send(int fd, const uint8_t *buf, size_t n, bool more);

/* Bytes taken by send that the peer has not acknowledged, sent or not; a FIN counts as one. 0 once
 * the connection is gone, reset or closed, as nothing is sent any more. */
int hostnet_outq(int fd);

/* Bytes that recv can read. */
int hostnet_inq(int fd);

/* how: 0 ends receiving, 1 sending, 2 both. */
int hostnet_shutdown(int fd, int how);

/* The socket's pending error, which is cleared by asking; 0 when there is none. */
int hostnet_error(int fd);

/* Fills HOSTNET_ADDRESSES_SIZE bytes; into is untouched on an error. */
int hostnet_addresses(int fd, uint8_t *into);

/* Segments leave as they are written, without waiting for earlier ones to be acknowledged. */
int hostnet_nodelay(int fd);

/* Closing this socket resets the connection and drops what was not sent. */
int hostnet_reset_on_close(int fd);

/* ---- UDP; a peer is port u16 LE, remote IPv4 address in network order ---- */

#define HOSTNET_PEER_SIZE (6)

/* Bytes sent. */
int hostnet_sendto(int fd, const uint8_t *peer, const uint8_t *buf, size_t n);

/* The length of the datagram, of which at most n bytes were put into buf; the rest is lost. sender is
 * untouched on an error. */
int hostnet_recvfrom(int fd, uint8_t *buf, size_t n, uint8_t *sender);

/* The length of the next datagram, which may be 0; -EAGAIN when none came. */
int hostnet_next_length(int fd);

/* Datagrams that found the socket's buffer full. */
int hostnet_dropped(int fd);

/* A new descriptor that is readable while it is set, for a poll that another thread ends. */
int hostnet_event(void);

/* From any thread. */
int hostnet_event_set(int fd);

/* How often it was set since it was last cleared; -EAGAIN when it was not. */
int hostnet_event_clear(int fd);

int hostnet_event_close(int fd);

#endif
