/*
 * The table behind the handles. Private to the core.
 *
 * The application thread owns the entries. lwIP's event callback, which runs in the TCP/IP thread or under
 * the core lock, touches only their atomic fields.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdatomic.h>

#include "lwip/api.h"
#include "lwip/init.h"
#include "lwip/priv/tcpip_priv.h"
#include "lwip/tcp.h"
#include "netconn.h"

/* Of an accept queue: as long as lwIP's accept mailbox, which the backlog never exceeds. */
#define QUEUE_MAX DEFAULT_ACCEPTMBOX_SIZE

/* A number in each netconn that lwIP leaves to the netconn's owner; -1 in a new one. */
#if LWIP_VERSION_MAJOR == 2 && LWIP_VERSION_MINOR < 2
#define OWN_NUMBER(conn) ((conn)->socket)
#else
#define OWN_NUMBER(conn) ((conn)->callback_arg.socket)
#endif

/* ENDING is set inside the stack before the netconn is taken apart: what walks the table in the stack then
 * passes over this entry. */
enum phase { PHASE_FREE, PHASE_LISTENING, PHASE_CONNECTING, PHASE_OPEN, PHASE_ENDING };

typedef struct {
    /* Written by the application thread. Calls in the TCP/IP thread read `conn` too; it changes only
     * while none of them runs. */
    struct netconn *conn;
    uint32_t generation;
    struct pbuf *unread;   /* chain of pbufs out of the receive mailbox */
    int uncredited;        /* bytes that were read and for which the window was not opened yet */
    int linger_s;          /* negative: close_ms counts instead */
    uint32_t started_ms;   /* when connecting began */
    uint8_t addresses[8];  /* layout of nc_addresses() */
    struct netconn *queue[QUEUE_MAX]; /* a listener's accept queue (accept_queue.c) */
    int queued;

    /* Set by lwIP's callback (`error` by the connect time-out too), cleared by the application thread
     * when the entry is taken. */
    atomic_int phase;      /* enum phase; the callback turns CONNECTING into OPEN */
    atomic_uint events;
    atomic_int error;      /* the first fatal error */
    atomic_bool peer_done; /* the peer's FIN was seen */
    atomic_bool discarding;
    atomic_bool arrivals;  /* something came into a listener's mailbox; cleared by nc_tidy() */
} entry_t;

extern entry_t entries[NC_ENTRIES];
extern nc_times_t times;
extern atomic_uint counters[NC_STATS];

/* The entry of a handle. NULL, which is counted, for a handle that was never given or is no longer valid. */
entry_t *entry_find(int handle);

/* The same, and NULL for a listener's handle. */
entry_t *entry_find_connection(int handle);

/* A free entry, or NULL. It stays free until entry_take(). */
entry_t *entry_free_one(void);

/* Makes `conn` this entry's and returns the handle. From now on the callbacks of `conn` reach the entry. */
int entry_take(entry_t *entry, struct netconn *conn, enum phase phase);

/* Frees the entry with all it holds; its handle becomes invalid. The PCB must be out of the netconn already,
 * so that no callback comes. */
void entry_release(entry_t *entry);

/* lwIP's event callback of every netconn here. */
void entry_event(struct netconn *conn, enum netconn_evt event, u16_t length);

/* From now on the peer's FIN is an event only. lwIP would put it into the receive mailbox, and lose it when
 * that is full. lwIP has just set the callbacks of this PCB. Inside in_stack() only. */
void entry_watch(struct tcp_pcb *pcb);

/* Records events and wakes the application thread. Any thread. */
void entry_post(entry_t *entry, unsigned bits);

/* A datagram came: the event of NC_DATAGRAMS. Any thread. */
void entry_note_datagrams(void);

/* Keeps the first fatal error. Any thread. */
void entry_fail(entry_t *entry, err_t error);

/* ---- calls into the stack ---- */

/* The arguments of a function in the stack: an entry, or a netconn that no entry has; and a number, an argument
 * or a result. */
typedef struct {
    struct tcpip_api_call_data call;
    entry_t *entry;
    struct netconn *conn;
    int n;
} stack_call_t;

/* Runs the function in the TCP/IP thread, or here under the core lock when core locking is on. */
static inline err_t in_stack(tcpip_api_call_fn function, stack_call_t *call) {
    return tcpip_api_call(function, &call->call);
}

/* The entry's PCB, or NULL when the stack has freed it. Inside in_stack() only. */
static inline struct tcp_pcb *pcb_of(const stack_call_t *call) {
    return call->entry->conn->pcb.tcp;
}

#endif
