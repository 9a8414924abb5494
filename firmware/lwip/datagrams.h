/*
 * UDP for the firmware over lwIP: integers in, integers out. The rules of netconn.h hold here too.
 *
 * Every port is a handle of its own kind: generation << 5 | index. A peer is 6 octets: port u16 LE, IPv4
 * address. A port has a queue of at most UD_QUEUE received datagrams; when it is full, newer ones are dropped
 * and counted. No function waits.
 */
#ifndef DATAGRAMS_H
#define DATAGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#define UD_PORTS 16
#define UD_QUEUE 8
#define UD_MOST 1472 /* octets of a datagram that fits a frame; lwIP here puts no fragments together */
#define UD_PEER_SIZE 6

/* A handle, or ERR_USE, ERR_MEM. ip 0: every interface; port 0: a free one. `shared`: several sockets may have
 * this port, if all of them share it; for multicast. */
int ud_bind(uint32_t ip, uint16_t port, bool shared);

/* n, or an error: ERR_RTE without a route, ERR_MEM, ERR_VAL above UD_MOST. */
int ud_send(int handle, const uint8_t peer[UD_PEER_SIZE], const void *from, int n);

/* The length of the next datagram in the queue, which may be 0; ERR_WOULDBLOCK: there is none. */
int ud_length(int handle);

/* Takes the next datagram out of the queue, copies its first n octets and its sender, and returns its length. Of
 * a longer one the rest is lost. ERR_WOULDBLOCK: there is none. */
int ud_receive(int handle, void *into, int n, uint8_t sender[UD_PEER_SIZE]);

/* How many datagrams this port has dropped. */
int ud_dropped(int handle);

/* Multicast: a port is in one group at most (ERR_USE). `own` is the address of the interface, 0: the first one. */
int ud_join(int handle, uint32_t group, uint32_t own);
int ud_leave(int handle);

/* Frees the port: drops its queue, leaves its group. */
int ud_close(int handle);

/* Bit i: since the last call a datagram came for the port with index i, or ud_receive() has left some in its
 * queue. Each such bit is also an event of NC_DATAGRAMS. */
int ud_pending(void);

/* Closes every port. */
void ud_stop(void);

#endif
