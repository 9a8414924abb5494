/*
 * Who has finished his handshake and was not accepted yet.
 *
 * lwIP's accept mailbox has few places, counts only the living ones against the backlog, and resets
 * whoever finishes his handshake while it is full: a few clients that come and give up again would
 * have all others reset until somebody accepts. So the mailbox is emptied at every turn into a queue
 * of ours, where those that are gone make room for those that come. They still count as not accepted
 * to lwIP (tcp_backlog_delayed), so that SYNs beyond the backlog are left unanswered, and come again.
 */
#include "accept_queue.h"

#include <string.h>

#include "ending.h"
#include "lwip/priv/tcp_priv.h"

struct conn_call {
    stack_call_t base;
    struct netconn *conn;
    bool gone;
};

static err_t hold_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb = ((struct conn_call *)data)->conn->pcb.tcp;
    if (pcb != NULL) {
        tcp_backlog_delayed(pcb);
    }
    return ERR_OK;
}

static err_t accepted_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb = ((struct conn_call *)data)->conn->pcb.tcp;
    if (pcb != NULL) {
        tcp_backlog_accepted(pcb);
    }
    return ERR_OK;
}

static err_t look_in_stack(struct tcpip_api_call_data *data) {
    struct conn_call *call = (struct conn_call *)data;
    call->gone = call->conn->pcb.tcp == NULL;
    return ERR_OK;
}

static bool is_gone(struct netconn *conn) {
    struct conn_call call = {.conn = conn};
    in_stack(look_in_stack, &call.base);
    return call.gone;
}

static void drop_gone(entry_t *listener) {
    int kept = 0;
    for (int i = 0; i < listener->waiting_count; i++) {
        struct netconn *conn = listener->waiting[i];
        if (is_gone(conn)) {
            dying_discard(conn);
        } else {
            listener->waiting[kept++] = conn;
        }
    }
    listener->waiting_count = kept;
}

static bool has_place(entry_t *listener) {
    if (listener->waiting_count == WAITING_MAX) {
        drop_gone(listener);
    }
    return listener->waiting_count < WAITING_MAX;
}

static void hold(entry_t *listener, struct netconn *conn) {
    struct conn_call call = {.conn = conn};
    in_stack(hold_in_stack, &call.base);
    listener->waiting[listener->waiting_count++] = conn;
}

/* An error in the mailbox is one who found no netconn: counted, nothing else. */
void waiting_fetch(entry_t *listener) {
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

err_t waiting_take(entry_t *listener, struct netconn **conn) {
    waiting_fetch(listener);
    if (listener->waiting_count == 0) {
        return ERR_WOULDBLOCK;
    }
    *conn = listener->waiting[0];
    listener->waiting_count--;
    memmove(listener->waiting, listener->waiting + 1,
            (size_t)listener->waiting_count * sizeof(listener->waiting[0]));
    struct conn_call call = {.conn = *conn};
    in_stack(accepted_in_stack, &call.base);
    return ERR_OK;
}

void waiting_refuse(entry_t *listener) {
    for (int i = 0; i < listener->waiting_count; i++) {
        dying_discard(listener->waiting[i]);
    }
    listener->waiting_count = 0;
}

void nc_tidy(void) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase == PHASE_LISTENING && atomic_exchange(&entries[i].arrivals, false)) {
            waiting_fetch(&entries[i]);
        }
    }
}
