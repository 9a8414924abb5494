/* The handle table, lwIP's event callback, and the wait that the events end. */
#include "entry.h"

#include <string.h>

#include "admission.h"
#include "lwip/sys.h"
#include "platform.h"

#define INDEX_BITS 5
#define GENERATIONS (1u << 24) /* with the index a handle stays below 2^29 */

/* A netconn's OWN_NUMBER: our index, or before accept one of these. lwIP starts with -1. */
#define UNACCEPTED (-1)
#define UNACCEPTED_PEER_DONE (-2)

entry_t entries[NC_ENTRIES];
nc_times_t times;
atomic_uint counters[NC_STATS];

static atomic_uint pending_map; /* bit per index; set by callbacks, cleared by nc_events() */
static atomic_bool woken;       /* set by nc_wake(), cleared by nc_wait() */

static int index_of(const entry_t *entry) {
    return (int)(entry - entries);
}

static int handle_of(const entry_t *entry) {
    return (int)(entry->generation << INDEX_BITS) | index_of(entry);
}

entry_t *entry_find(int handle) {
    unsigned index = (unsigned)handle & ((1u << INDEX_BITS) - 1);
    if (handle > 0 && index < NC_ENTRIES && entries[index].phase != PHASE_FREE &&
        handle_of(&entries[index]) == handle) {
        return &entries[index];
    }
    counters[NC_STAT_STALE]++;
    return NULL;
}

entry_t *entry_find_connection(int handle) {
    entry_t *entry = entry_find(handle);
    return entry != NULL && entry->phase != PHASE_LISTENING ? entry : NULL;
}

entry_t *entry_free_one(void) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase == PHASE_FREE) {
            return &entries[i];
        }
    }
    return NULL;
}

static void clear(entry_t *entry) {
    entry->conn = NULL;
    entry->unread = NULL;
    entry->uncredited = 0;
    entry->linger_s = -1;
    entry->events = 0;
    entry->error = ERR_OK;
    entry->peer_done = false;
    entry->discarding = false;
    entry->arrivals = false;
    entry->queued = 0;
    memset(entry->addresses, 0, sizeof(entry->addresses));
}

int entry_take(entry_t *entry, struct netconn *conn, enum phase phase) {
    SYS_ARCH_DECL_PROTECT(level);
    clear(entry);
    entry->generation = entry->generation + 1 < GENERATIONS ? entry->generation + 1 : 1;
    entry->conn = conn;
    entry->started_ms = sys_now();
    entry->phase = phase; /* last: what walks the table in the stack looks at the phase first */
    SYS_ARCH_PROTECT(level);
    netconn_set_nonblocking(conn, 1); /* a listener's connections do not inherit it */
    entry->peer_done = OWN_NUMBER(conn) == UNACCEPTED_PEER_DONE;
    OWN_NUMBER(conn) = index_of(entry);
    SYS_ARCH_UNPROTECT(level);
    return handle_of(entry);
}

void entry_release(entry_t *entry) {
    struct netconn *conn = entry->conn;
    if (entry->unread != NULL) {
        pbuf_free(entry->unread);
    }
    clear(entry);
    entry->phase = PHASE_FREE;
    atomic_fetch_and(&pending_map, ~(1u << index_of(entry)));
    /* Both, in this order: with full duplex on, netconn_delete() alone asserts after a received FIN. */
    netconn_prepare_delete(conn);
    netconn_delete(conn);
}

/* ---- lwIP's event callback: it records and wakes, and does nothing else ---- */

void entry_fail(entry_t *entry, err_t error) {
    int none = ERR_OK;
    atomic_compare_exchange_strong(&entry->error, &none, error);
}

static void note(int index) {
    atomic_fetch_or(&pending_map, 1u << index);
    platform_wake();
}

void entry_post(entry_t *entry, unsigned bits) {
    atomic_fetch_or(&entry->events, bits);
    note(index_of(entry));
}

void entry_note_datagrams(void) {
    note(NC_DATAGRAMS);
}

static unsigned failed(entry_t *entry, const struct netconn *conn) {
    entry_fail(entry, conn->pending_err != ERR_OK ? conn->pending_err : ERR_ABRT);
    counters[NC_STAT_ERRORS]++;
    return NC_ERROR;
}

/* A length of 0 is a connection to accept, the peer's FIN, or, when the PCB is gone, an error that was
 * reported as such just before. */
static unsigned received(entry_t *entry, const struct netconn *conn, u16_t length) {
    if (entry->phase == PHASE_LISTENING) {
        entry->arrivals = true;
        return NC_ACCEPT;
    }
    if (length > 0) {
        return NC_DATA;
    }
    if (conn->pcb.tcp == NULL) {
        return 0;
    }
    entry->peer_done = true;
    return NC_CLOSED;
}

static tcp_recv_fn lwip_receive; /* lwIP's own, the same for all netconns; used in the stack only */

static err_t receive(void *conn, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    if (data != NULL) {
        return lwip_receive(conn, pcb, data, error);
    }
    entry_event(conn, NETCONN_EVT_RCVPLUS, 0);
    return ERR_OK;
}

void entry_watch(struct tcp_pcb *pcb) {
    lwip_receive = pcb->recv;
    tcp_recv(pcb, receive);
}

static unsigned room(entry_t *entry, const struct netconn *conn) {
    int connecting = PHASE_CONNECTING;
    if (conn->pcb.tcp == NULL) {
        return 0;
    }
    if (atomic_compare_exchange_strong(&entry->phase, &connecting, PHASE_OPEN)) {
        entry_watch(conn->pcb.tcp);
        counters[NC_STAT_CONNECTED]++;
        return NC_CONNECTED | NC_ROOM;
    }
    return NC_ROOM;
}

static unsigned bits_of(entry_t *entry, const struct netconn *conn, enum netconn_evt event,
                        u16_t length) {
    switch (event) {
        case NETCONN_EVT_ERROR:
            return failed(entry, conn);
        case NETCONN_EVT_RCVPLUS:
            return received(entry, conn, length);
        case NETCONN_EVT_SENDPLUS:
            return room(entry, conn);
        default:
            return 0;
    }
}

/* The netconn was not accepted yet. nc_accept() looks at the mailbox and the PCB, which do not show a FIN: so
 * a FIN is noted. Called under SYS_ARCH_PROTECT. */
static void note_unaccepted(struct netconn *conn, enum netconn_evt event, u16_t length) {
    if (event == NETCONN_EVT_RCVPLUS && length == 0 && conn->pcb.tcp != NULL) {
        OWN_NUMBER(conn) = UNACCEPTED_PEER_DONE;
    }
}

void entry_event(struct netconn *conn, enum netconn_evt event, u16_t length) {
    SYS_ARCH_DECL_PROTECT(level);
    SYS_ARCH_PROTECT(level);
    int index = OWN_NUMBER(conn);
    if (index <= UNACCEPTED) {
        note_unaccepted(conn, event, length);
    }
    SYS_ARCH_UNPROTECT(level);
    unsigned bits = index >= 0 ? bits_of(&entries[index], conn, event, length) : 0;
    if (bits) {
        entry_post(&entries[index], bits);
    }
}

/* ---- what the application asks for ---- */

static int events_of_datagrams(void) {
    unsigned bit = 1u << NC_DATAGRAMS;
    return atomic_fetch_and(&pending_map, ~bit) & bit ? NC_DATA : 0;
}

int nc_events(int handle) {
    if (handle == NC_DATAGRAMS) {
        return events_of_datagrams();
    }
    entry_t *entry = entry_find(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    /* The map first: an event that comes in between is returned now or stays pending. */
    atomic_fetch_and(&pending_map, ~(1u << index_of(entry)));
    return (int)atomic_exchange(&entry->events, 0);
}

int nc_error(int handle) {
    entry_t *entry = entry_find(handle);
    return entry == NULL ? ERR_ARG : entry->error;
}

int nc_pending(void) {
    return (int)pending_map;
}

void nc_overlook(uint32_t map) {
    atomic_fetch_and(&pending_map, ~map);
}

void nc_wake(void) {
    atomic_store(&woken, true);
    platform_wake();
}

void nc_wake_from_isr(void) {
    atomic_store(&woken, true);
    platform_wake_from_isr();
}

/* How long to sleep before admission_step() has to run again. */
static uint32_t nap_ms(int ms, uint32_t slept_ms) {
    uint32_t left = ms < 0 ? UINT32_MAX : (uint32_t)ms - slept_ms;
    return left < ADMISSION_INTERVAL_MS ? left : ADMISSION_INTERVAL_MS;
}

int nc_wait(int ms) {
    uint32_t started = sys_now();
    for (;;) {
        admission_step();
        if (atomic_exchange(&woken, false) || pending_map) {
            return 1;
        }
        uint32_t slept_ms = sys_now() - started;
        if (ms >= 0 && slept_ms >= (uint32_t)ms) {
            return 0;
        }
        platform_sleep(nap_ms(ms, slept_ms));
    }
}
