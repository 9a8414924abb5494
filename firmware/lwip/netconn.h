/*
 * TCP for the firmware over lwIP's netconn API: integers in, integers out.
 *
 * Every connection and listener is a handle: generation << 5 | index, positive and below 2^29, which is a
 * small integer on every MicroPython. A handle that was closed or aborted is refused with ERR_ARG, which is
 * counted. Errors are lwIP's err_t numbers, negative. An IPv4 address is its four octets in memory order,
 * as lwIP and the link protocol have it.
 *
 * One application thread calls these functions; with MicroPython it is the one that holds the GIL. Any thread
 * may call nc_wake(), and nc_wait() needs no GIL. No function waits for a peer. The core allocates no memory
 * itself; lwIP allocates netconns, PCBs and segments as always.
 */
#ifndef NETCONN_H
#define NETCONN_H

#include <stdbool.h>
#include <stdint.h>

#define NC_ENTRIES 24

/* The handle, and the index, of all UDP ports together (datagrams.h): it is always there, and has the event
 * NC_DATA when a datagram came. */
#define NC_DATAGRAMS NC_ENTRIES

/* Bits of nc_events(). */
enum {
    NC_ACCEPT = 1,    /* listener: a connection may be accepted */
    NC_CONNECTED = 2, /* outgoing: the handshake is done */
    NC_DATA = 4,      /* bytes arrived */
    NC_ROOM = 8,      /* an acknowledgement made room to write */
    NC_CLOSED = 16,   /* the peer's FIN; data that came before it may still be unread */
    NC_ERROR = 32,    /* the connection is broken; nc_error() says why */
};

/* In milliseconds of the stack's clock. */
typedef struct {
    uint32_t close_ms;     /* an orphan is aborted after this */
    uint32_t connect_ms;   /* an outgoing attempt fails with ERR_TIMEOUT after this */
    uint32_t half_open_ms; /* an incoming handshake that is not complete by then is aborted */
} nc_times_t;

/* Indexes of nc_stats(). The last three are how many there are now; the others count from power-up on. */
enum {
    NC_STAT_ACCEPTED,
    NC_STAT_CONNECTED,
    NC_STAT_REFUSED,          /* incoming connections without a PCB, a netconn or memory */
    NC_STAT_STALE,            /* calls with a handle that is not valid */
    NC_STAT_ERRORS,           /* connections that a fatal error ended */
    NC_STAT_CLOSED,           /* orderly closes begun */
    NC_STAT_ABORTED,          /* calls of nc_abort() */
    NC_STAT_OVERTIME,         /* orphans aborted by close_ms or their linger time */
    NC_STAT_DISPLACED,        /* orphans whose PCB a new connection took */
    NC_STAT_HALF_OPEN_ENDED,  /* handshakes aborted by half_open_ms */
    NC_STAT_CONNECT_TIMEOUTS,
    NC_STAT_NO_ROUTE,         /* writes queued while there was no route */
    NC_STAT_ENTRIES,          /* handles in use */
    NC_STAT_ORPHANS,          /* closed connections whose PCB still lives */
    NC_STAT_HALF_OPEN,        /* incoming handshakes under way */
    NC_STATS,
};

/* lwIP must be running. A second call only changes the times. ERR_MEM: everything works, except that a
 * client that connects from the port of a connection in TIME-WAIT has to wait. */
int nc_start(const nc_times_t *times);

/* Aborts everything, orphans too, and closes every UDP port. No callback comes afterwards. */
void nc_stop(void);

/* ---- opening ---- */

/* A listener on ip:port (ip 0: all interfaces). `backlog` is cut to the size of lwIP's accept mailbox: lwIP
 * resets a connection that completes its handshake and finds no place there. */
int nc_listen(uint32_t ip, uint16_t port, int backlog);

/* The handle of the next connection in the accept queue. ERR_WOULDBLOCK: the queue is empty. ERR_MEM: no
 * entry is free; the connection stays in the queue. A connection that was reset meanwhile gets a handle too,
 * with the event NC_ERROR. */
int nc_accept(int handle);

/* Bytes of the heap that may be taken now: what is free, less a reserve, less what peers may still send. */
int nc_spare(void);

/* A handle at once; NC_CONNECTED or NC_ERROR follows. ERR_MEM also when the free memory is less than what the
 * open connections may come to need. */
int nc_connect(uint32_t ip, uint16_t port);

/* Into 8 octets: local port u16 LE, remote port u16 LE, remote address. They are noted when the connection
 * begins, so they outlive the PCB. */
int nc_addresses(int handle, uint8_t *into);

/* ---- receiving ---- */

/* Bytes that nc_read() would give now. */
int nc_readable(int handle);

/* Copies up to n bytes and returns how many. ERR_WOULDBLOCK: there are none. After the last byte: ERR_CLSD
 * when the peer's FIN came, or the fatal error, at every call. */
int nc_read(int handle, void *into, int n);

/* Opens the peer's window by n bytes, at most by those that were read. */
int nc_recved(int handle, int n);

/* Unread data, and data that still comes, is dropped and credited to the peer's window. The peer's FIN is
 * still an event. */
int nc_shutdown_rx(int handle);

/* ---- sending ---- */

/* `more` of nc_write(): how the last segment leaves, which may be a partial one. */
enum {
    NC_PUSH,   /* at once, with PSH */
    NC_FLUSH,  /* at once, without PSH */
    NC_GATHER, /* without PSH; while anything is in flight it waits for more bytes */
};

/* Queues a copy of up to n bytes and returns how many; ERR_WOULDBLOCK instead of 0. PSH is set only when all
 * n were taken. NC_PUSH with n = 0 pushes what an earlier write left. */
int nc_write(int handle, const void *from, int n, int more);

/* Bytes unsent plus unacknowledged; 0 when the PCB is gone. */
int nc_in_flight(int handle);

/* ---- ending ---- */

/* Orderly: queued bytes are sent, then FIN; unread data is dropped. The handle is free at once. The PCB lives
 * on as an orphan, at most for the linger time or close_ms, and is then reset. It goes earlier when a new
 * connection needs a PCB. */
int nc_close(int handle);

/* RST; everything is freed before this returns. */
int nc_abort(int handle);

/* For how many seconds nc_close() tries; 0: it resets at once; negative: close_ms. */
int nc_linger(int handle, int seconds);

/* Idle seconds before the first probe (0: no probes), seconds between probes, and how many probes without an
 * answer end the connection with ERR_ABRT. */
int nc_keepalive(int handle, int idle_s, int interval_s, int count);

/* ---- events ---- */

/* The bits since the last call. */
int nc_events(int handle);

/* The fatal error that ended this connection; 0: none. */
int nc_error(int handle);

/* Bit i: the entry with index i has events. */
int nc_pending(void);

/* The entries of this map, which is as nc_pending() has it, are not pending until they have another event.
 * Their bits stay for nc_events(). It is for handles that the caller of nc_wait() does not serve. */
void nc_overlook(uint32_t map);

/* Sleeps until an entry is pending or nc_wake() is called, at most for ms (negative: without limit).
 * 1: woken; 0: the time is over. Returns at once while an entry is pending. */
int nc_wait(int ms);

/* To be called after every wait: moves connections from lwIP's accept mailboxes into the accept queues, so
 * that new ones find a place in a mailbox. */
void nc_tidy(void);

/* Ends the wait under way, or the next one. Any thread. */
void nc_wake(void);
void nc_wake_from_isr(void);

void nc_stats(uint32_t into[NC_STATS]);

#endif
