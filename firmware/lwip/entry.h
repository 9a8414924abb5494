/*
 * The table behind the handles. Private to the core.
 *
 * Two parties touch an entry: the application thread, which owns it, and lwIP's callback, which runs
 * in the TCP/IP thread or under the core lock and touches the atomic fields only.
 */
#ifndef ENTRY_H
#define ENTRY_H

#include <stdatomic.h>

#include "lwip/api.h"
#include "lwip/init.h"
#include "lwip/priv/tcpip_priv.h"
#include "lwip/tcp.h"
#include "netconn.h"

/* As many as the accept mailbox holds, which is the most that the backlog lets in. */
#define WAITING_MAX DEFAULT_ACCEPTMBOX_SIZE

/* The number that lwIP keeps in a netconn for its owner; -1 in a new one. */
#if LWIP_VERSION_MAJOR == 2 && LWIP_VERSION_MINOR < 2
#define OWN_NUMBER(conn) ((conn)->socket)
#else
#define OWN_NUMBER(conn) ((conn)->callback_arg.socket)
#endif

/* ENDING is set inside the stack, before the netconn is taken apart, so that nobody who walks the table
 * in the stack looks at it again. */
enum phase { PHASE_FREE, PHASE_LISTENING, PHASE_CONNECTING, PHASE_OPEN, PHASE_ENDING };

typedef struct {
    /* Written by the application thread. `conn` is read by calls in the TCP/IP thread as well, and
     * only changes while none of them runs. */
    struct netconn *conn;
    uint32_t generation;
    struct pbuf *unread;   /* chain fetched from the receive mailbox */
    int uncredited;        /* read, but the window not yet opened for it */
    int linger_s;          /* negative: the core's close_ms */
    uint32_t started_ms;   /* when connecting began */
    uint8_t addresses[8];  /* layout of nc_addresses() */
    struct netconn *waiting[WAITING_MAX]; /* a listener's: see accept_queue.c */
    int waiting_count;

    /* Set by lwIP's callback (error, also by the connect time-out), cleared by the application
     * thread when the entry is taken. */
    atomic_int phase;      /* enum phase; the callback turns CONNECTING into OPEN */
    atomic_uint events;
    atomic_int error;      /* first fatal error; never overwritten */
    atomic_bool peer_done; /* the peer's FIN was seen */
    atomic_bool discarding;
    atomic_bool arrivals;  /* a listener's mailbox was put something into; cleared by nc_tidy() */
} entry_t;

extern entry_t entries[NC_ENTRIES];
extern nc_times_t times;
extern atomic_uint counters[NC_STATS];

/* The entry of a handle, or NULL (counted) when the handle is stale or nonsense. */
entry_t *entry_find(int handle);

/* A free entry, or NULL. It stays free until entry_take(). */
entry_t *entry_free_one(void);

/* Makes `conn` belong to this entry and gives the handle. From here on its callbacks land here. */
int entry_take(entry_t *entry, struct netconn *conn, enum phase phase);

/* Forgets the entry and everything it holds; its handle is stale from here on. The netconn must be
 * detached from the stack already (no callback can come). */
void entry_release(entry_t *entry);

int entry_index(const entry_t *entry);

/* lwIP's callback for every netconn of ours. */
void entry_event(struct netconn *conn, enum netconn_evt event, u16_t length);

/* From now on the FIN of this PCB, whose callbacks lwIP has just set, is an event only. lwIP would put it
 * into the receive mailbox, and would lose it when that is full. Inside in_stack() only. */
void entry_watch(struct tcp_pcb *pcb);

/* Records events and wakes the application thread. Any thread. */
void entry_post(entry_t *entry, unsigned bits);

/* Keeps the first fatal error. Any thread. */
void entry_fail(entry_t *entry, err_t error);

/* ---- calls into the stack: all through one door ---- */

/* One call; put it first in a structure with what the function needs besides the entry. */
typedef struct {
    struct tcpip_api_call_data call;
    entry_t *entry;
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
