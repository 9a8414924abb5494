/*
 * The accept queue of a listener.
 *
 * lwIP's accept mailbox has few places. A connection that its peer has reset keeps its place there, though
 * not in the backlog, and lwIP resets a connection that completes its handshake while the mailbox is full.
 * So a few clients that connect and give up would have all others reset until the application accepts.
 * Therefore the mailbox is emptied after every wait into the queue here, in which a new connection takes
 * the place of one that is gone. lwIP still counts the queued ones as not accepted (tcp_backlog_delayed()),
 * so it drops SYNs beyond the backlog, and the clients send them again.
 */
#include "accept_queue.h"

#include <string.h>

#include "ending.h"
#include "lwip/priv/tcp_priv.h"

static err_t hold_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb = ((stack_call_t *)data)->conn->pcb.tcp;
    if (pcb != NULL) {
        tcp_backlog_delayed(pcb);
    }
    return ERR_OK;
}

static err_t accepted_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb = ((stack_call_t *)data)->conn->pcb.tcp;
    if (pcb != NULL) {
        tcp_backlog_accepted(pcb);
    }
    return ERR_OK;
}

static err_t look_in_stack(struct tcpip_api_call_data *data) {
    return ((stack_call_t *)data)->conn->pcb.tcp == NULL ? ERR_CLSD : ERR_OK;
}

static bool is_gone(struct netconn *conn) {
    stack_call_t call = {.conn = conn};
    return in_stack(look_in_stack, &call) != ERR_OK;
}

static void drop_gone(entry_t *listener) {
    int kept = 0;
    for (int i = 0; i < listener->queued; i++) {
        struct netconn *conn = listener->queue[i];
        if (is_gone(conn)) {
            ending_discard(conn);
        } else {
            listener->queue[kept++] = conn;
        }
    }
    listener->queued = kept;
}

static bool has_place(entry_t *listener) {
    if (listener->queued == QUEUE_MAX) {
        drop_gone(listener);
    }
    return listener->queued < QUEUE_MAX;
}

static void hold(entry_t *listener, struct netconn *conn) {
    stack_call_t call = {.conn = conn};
    in_stack(hold_in_stack, &call);
    listener->queue[listener->queued++] = conn;
}

/* Moves what is in lwIP's accept mailbox into the queue. An error there is a connection for which lwIP had no
 * netconn. */
static void fill(entry_t *listener) {
    struct netconn *conn;
    while (has_place(listener)) {
        err_t error = netconn_accept(listener->conn, &conn);
        if (error == ERR_WOULDBLOCK) {
            return;
        }
        if (error == ERR_OK) {
            hold(listener, conn);
        } else {
            counters[NC_STAT_REFUSED]++;
        }
    }
}

err_t accept_queue_take(entry_t *listener, struct netconn **conn) {
    fill(listener);
    if (listener->queued == 0) {
        return ERR_WOULDBLOCK;
    }
    *conn = listener->queue[0];
    listener->queued--;
    memmove(listener->queue, listener->queue + 1, (size_t)listener->queued * sizeof(listener->queue[0]));
    stack_call_t call = {.conn = *conn};
    in_stack(accepted_in_stack, &call);
    return ERR_OK;
}

void accept_queue_reset(entry_t *listener) {
    for (int i = 0; i < listener->queued; i++) {
        ending_discard(listener->queue[i]);
    }
    listener->queued = 0;
}

void nc_tidy(void) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase == PHASE_LISTENING && atomic_exchange(&entries[i].arrivals, false)) {
            fill(&entries[i]);
        }
    }
}
