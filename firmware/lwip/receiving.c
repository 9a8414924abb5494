/*
 * The way in: receive mailbox -> the entry's pbuf chain -> the caller's buffer, one copy.
 *
 * The mailbox holds few pbufs, and what lwIP cannot put there is lost when a reset follows, so every
 * look empties it into a chain that holds as many. Reading does not open the peer's window: nc_recved()
 * does, in steps of the caller's choice. The peer's FIN is not in there (entry_watch()): fetching it
 * would shut the receive side, after which keepalive no longer sees that the peer answers and a late
 * segment becomes a reset.
 */
#include "entry.h"

#include "ending.h"

#define LOOK_ONLY (NETCONN_NOAUTORCVD | NETCONN_DONTBLOCK)

#define UNREAD_MAX DEFAULT_TCP_RECVMBOX_SIZE

static int pbufs_in(const struct pbuf *chain) {
    return chain == NULL ? 0 : pbuf_clen(chain);
}

static void append(entry_t *entry, struct pbuf *data) {
    if (entry->discarding) {
        pbuf_free(data);
    } else if (entry->unread == NULL) {
        entry->unread = data;
    } else {
        pbuf_cat(entry->unread, data);
    }
}

/* Empties the mailbox, as far as the chain has room. A peer that sends its window byte by byte would
 * take forty times its size of memory; what finds no place is not acknowledged, and comes again. */
static void pull(entry_t *entry) {
    struct pbuf *data;
    while (pbufs_in(entry->unread) < UNREAD_MAX &&
           netconn_recv_tcp_pbuf_flags(entry->conn, &data, LOOK_ONLY) == ERR_OK) {
        append(entry, data);
    }
}

static int unread_bytes(const entry_t *entry) {
    return entry->unread == NULL ? 0 : entry->unread->tot_len;
}

static entry_t *find_connection(int handle) {
    entry_t *entry = entry_find(handle);
    return entry != NULL && entry->phase != PHASE_LISTENING ? entry : NULL;
}

int nc_readable(int handle) {
    entry_t *entry = find_connection(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    pull(entry);
    return unread_bytes(entry);
}

static int take(entry_t *entry, void *into, int n) {
    u16_t taken = (u16_t)LWIP_MIN(n, unread_bytes(entry));
    pbuf_copy_partial(entry->unread, into, taken, 0);
    entry->unread = pbuf_free_header(entry->unread, taken);
    entry->uncredited += taken;
    return taken;
}

/* Why it ended is looked at before the mailbox: all data that came before the end is in there then. */
int nc_read(int handle, void *into, int n) {
    entry_t *entry = find_connection(handle);
    if (entry == NULL || n < 0) {
        return ERR_ARG;
    }
    bool peer_done = entry->peer_done;
    int error = entry->error;
    pull(entry);
    if (unread_bytes(entry) > 0) {
        return take(entry, into, n);
    }
    if (peer_done) {
        return ERR_CLSD;
    }
    return error != ERR_OK ? error : ERR_WOULDBLOCK;
}

/* ---- the window ---- */

struct recved_call {
    stack_call_t base;
    int n;
};

static err_t recved_in_stack(struct tcpip_api_call_data *data) {
    struct recved_call *call = (struct recved_call *)data;
    struct tcp_pcb *pcb = pcb_of(&call->base);
    if (pcb != NULL) {
        tcp_recved(pcb, (u16_t)call->n);
    }
    return ERR_OK;
}

int nc_recved(int handle, int n) {
    entry_t *entry = find_connection(handle);
    if (entry == NULL || n < 0) {
        return ERR_ARG;
    }
    struct recved_call call = {.base.entry = entry, .n = LWIP_MIN(n, entry->uncredited)};
    entry->uncredited -= call.n;
    return call.n ? in_stack(recved_in_stack, &call.base) : ERR_OK;
}

static err_t shutdown_rx_in_stack(struct tcpip_api_call_data *data) {
    stack_call_t *call = (stack_call_t *)data;
    struct tcp_pcb *pcb = pcb_of(call);
    if (pcb != NULL) {
        tcp_recv(pcb, dying_drop);
        dying_open_window(pcb);
    }
    return ERR_OK;
}

int nc_shutdown_rx(int handle) {
    entry_t *entry = find_connection(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    if (entry->phase == PHASE_CONNECTING) {
        return ERR_CONN;
    }
    stack_call_t call = {.entry = entry};
    entry->discarding = true;
    in_stack(shutdown_rx_in_stack, &call);
    if (entry->unread != NULL) {
        pbuf_free(entry->unread);
        entry->unread = NULL;
    }
    entry->uncredited = 0;
    return ERR_OK;
}
