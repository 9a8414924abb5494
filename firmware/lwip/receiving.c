/*
 * Receiving: pbufs move from lwIP's receive mailbox into the entry's chain; their bytes are copied once, into
 * the caller's buffer.
 *
 * The mailbox holds few pbufs, and data for which it has no place is lost when a reset follows. So each call
 * here empties the mailbox into the chain, which holds as many. Reading does not open the peer's window;
 * nc_recved() does, in steps that the caller chooses. The peer's FIN never comes into the mailbox
 * (entry_watch()): taking it out would shut the receive side, after which keepalive does not see the peer's
 * answers and a late segment is answered with a reset.
 */
#include "ending.h"
#include "entry.h"

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

/* Empties the mailbox as far as the chain has room. The limit is there because a peer that sends its window
 * byte by byte would take forty times as much memory. What finds no place is not acknowledged, and the peer
 * sends it again. */
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

int nc_readable(int handle) {
    entry_t *entry = entry_find_connection(handle);
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

/* The end is looked at before the mailbox, which then has all the data that came before the end. */
int nc_read(int handle, void *into, int n) {
    entry_t *entry = entry_find_connection(handle);
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

static err_t recved_in_stack(struct tcpip_api_call_data *data) {
    stack_call_t *call = (stack_call_t *)data;
    struct tcp_pcb *pcb = pcb_of(call);
    if (pcb != NULL) {
        tcp_recved(pcb, (u16_t)call->n);
    }
    return ERR_OK;
}

int nc_recved(int handle, int n) {
    entry_t *entry = entry_find_connection(handle);
    if (entry == NULL || n < 0) {
        return ERR_ARG;
    }
    stack_call_t call = {.entry = entry, .n = LWIP_MIN(n, entry->uncredited)};
    entry->uncredited -= call.n;
    return call.n ? in_stack(recved_in_stack, &call) : ERR_OK;
}

static err_t shutdown_rx_in_stack(struct tcpip_api_call_data *data) {
    stack_call_t *call = (stack_call_t *)data;
    struct tcp_pcb *pcb = pcb_of(call);
    if (pcb != NULL) {
        tcp_recv(pcb, ending_drop);
        ending_open_window(pcb);
    }
    return ERR_OK;
}

int nc_shutdown_rx(int handle) {
    entry_t *entry = entry_find_connection(handle);
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
