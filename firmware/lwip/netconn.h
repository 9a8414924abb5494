/*
 * TCP for the firmware over lwIP's netconn API: integers in, integers out.
 *
 * Every connection and listener is a handle: generation << 5 | index, positive, below 2^29, so it
 * is a small integer everywhere. A handle that was closed or aborted is refused with ERR_ARG and
 * counted. Errors are lwIP's err_t numbers, negative. IPv4 addresses are the four octets in memory
 * order, as lwIP and the link protocol keep them.
 *
 * All functions but nc_wake*() belong to one application thread (with MicroPython: whoever holds
 * the GIL; nc_wait() may run without it). None of them waits for a peer. None allocates memory of
 * this module's own; lwIP allocates netconns, PCBs and segments as it always does.
 */
#ifndef NETCONN_H
#define NETCONN_H

#include <stdbool.h>
#include <stdint.h>

#define NC_ENTRIES 24

/* Bits of nc_events(). */
enum {
    NC_ACCEPT = 1,    /* listener: something waits, or a connection was refused */
    NC_CONNECTED = 2, /* outgoing: the handshake is done */
    NC_DATA = 4,      /* bytes arrived */
    NC_ROOM = 8,      /* acknowledged data made room to write */
    NC_CLOSED = 16,   /* the peer's FIN; data before it may still wait to be read */
    NC_ERROR = 32,    /* the connection is gone; nc_error() says why */
};

/* All in milliseconds of the stack's clock; 0 takes the default. */
typedef struct {
    uint32_t close_ms;     /* a closing connection is aborted after this (4000) */
    uint32_t connect_ms;   /* an outgoing attempt fails with ERR_TIMEOUT after this (10000) */
    uint32_t half_open_ms; /* an unfinished handshake from outside is given up after this (3000) */
} nc_times_t;

/* Indexes of nc_stats(). The first group counts since nc_start(), the second is now. */
enum {
    NC_STAT_ACCEPTED,
    NC_STAT_CONNECTED,
    NC_STAT_REFUSED,          /* connections from outside that found no PCB, netconn or memory */
    NC_STAT_STALE,            /* calls with a handle that is no longer valid */
    NC_STAT_ERRORS,           /* connections that ended by a fatal error */
    NC_STAT_CLOSED,           /* orderly closes begun */
    NC_STAT_ABORTED,          /* aborts asked for */
    NC_STAT_OVERTIME,         /* closing connections ended by close_ms or their linger time */
    NC_STAT_DISPLACED,        /* closing connections that gave way to a new one */
    NC_STAT_HALF_OPEN_ENDED,  /* handshakes given up */
    NC_STAT_CONNECT_TIMEOUTS,
    NC_STAT_NO_ROUTE,         /* writes that were queued while there was no route */
    NC_STAT_ENTRIES,          /* now: handles in use */
    NC_STAT_DYING,            /* now: closed connections whose PCB is not gone yet */
    NC_STAT_HALF_OPEN,        /* now: handshakes from outside under way */
    NC_STATS,
};

/* lwIP must be running. `times` may be NULL. Calling it again only changes the times. ERR_MEM:
 * everything works, except that a client whose last connection is in TIME-WAIT has to wait. */
int nc_start(const nc_times_t *times);

/* Aborts everything, the dying included. Afterwards no PCB of ours is left and no callback fires. */
void nc_stop(void);

/* ---- opening ---- */

/* A listener on ip:port (ip 0: all interfaces). `backlog` is cut to the size of lwIP's accept
 * mailbox, so that nobody is reset after a handshake that we let him finish. */
int nc_listen(uint32_t ip, uint16_t port, int backlog);

/* The next waiting connection's handle, or ERR_WOULDBLOCK, or ERR_MEM when no entry is free (the
 * connection then keeps waiting). A connection that was reset meanwhile is handed out as well, with
 * NC_ERROR set. */
int nc_accept(int handle);

/* Bytes of the heap that may be taken now: what is free, less a reserve and what peers may send. */
int nc_spare(void);

/* A handle at once; NC_CONNECTED or NC_ERROR follows. ERR_MEM also while there is memory, but less than
 * the open connections may come to need. */
int nc_connect(uint32_t ip, uint16_t port);

/* Into 8 octets: local port u16 LE, remote port u16 LE, remote address. As they were when the
 * connection was opened, so they outlive the PCB. */
int nc_addresses(int handle, uint8_t *into);

/* ---- receiving ---- */

/* Bytes that nc_read() would give now. */
int nc_readable(int handle);

/* Copies up to n bytes and returns how many. Nothing there: ERR_WOULDBLOCK; after the peer's FIN
 * and the last byte: ERR_CLSD; after a fatal error and the last byte: that error, every time. */
int nc_read(int handle, void *into, int n);

/* Opens the peer's window by n of the bytes that were read; more than was read is not credited. */
int nc_recved(int handle, int n);

/* What has arrived and what will is dropped and credited; the peer's FIN is still seen. */
int nc_shutdown_rx(int handle);

/* ---- sending ---- */

/* Bytes that nc_write() would surely take now. */
int nc_writable(int handle);

/* `more` of nc_write(): what becomes of the last segment, which may be a partial one. */
enum {
    NC_PUSH,   /* leaves at once, with PSH */
    NC_FLUSH,  /* leaves at once, without PSH */
    NC_GATHER, /* without PSH; waits for what follows while anything is in flight */
};

/* Queues a copy of up to n bytes and returns how many; 0 bytes are taken as ERR_WOULDBLOCK. PSH is
 * set only when all n were taken; NC_PUSH with n = 0 pushes what an earlier write left. */
int nc_write(int handle, const void *from, int n, int more);

/* Bytes unsent plus unacknowledged; 0 when the PCB is gone. */
int nc_in_flight(int handle);

/* ---- ending ---- */

/* Orderly: what is queued is sent, then FIN; unread data is dropped. The handle is free at once. The
 * PCB lives on for at most the linger time (or close_ms), is then reset, and gives way earlier when
 * a new connection needs a PCB. */
int nc_close(int handle);

/* RST; everything is freed before this returns. */
int nc_abort(int handle);

/* What nc_close() will do: seconds to try, 0 resets at once, negative means close_ms. */
int nc_linger(int handle, int seconds);

/* Idle seconds before the first probe (0: off), seconds between probes, probes before ERR_ABRT. */
int nc_keepalive(int handle, int idle_s, int interval_s, int count);

/* ---- events ---- */

/* Bits since the last call; taking them clears them. */
int nc_events(int handle);

/* The fatal error that ended this connection, 0 while there is none. */
int nc_error(int handle);

/* Bit i: the entry with index i has events. */
int nc_pending(void);

/* These entries, a map as nc_pending() has it, are not pending until they have another event; their
 * bits stay for nc_events(). For handles that whoever waits does not know. */
void nc_overlook(uint32_t map);

/* Sleeps until pending() is not 0 or nc_wake() was called, at most ms (negative: for ever). 1 woken,
 * 0 the time is over. Returns at once while events are pending. */
int nc_wait(int ms);

/* After every wait, by the application thread: takes those who wait to be accepted out of lwIP's
 * mailbox, so that new ones find a place in it. */
void nc_tidy(void);

/* Ends the current wait, or the next one if none is under way. Any thread. */
void nc_wake(void);
void nc_wake_from_isr(void);

void nc_stats(uint32_t into[NC_STATS]);

#endif
