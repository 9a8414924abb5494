/*
 * Orderly and sudden ends.
 *
 * When a connection is closed, its PCB is taken out of the netconn, which is freed at once. The PCB, now an
 * orphan, carries all that is needed. Its callback argument is its deadline. Its poll callback, which lwIP
 * calls every 500 ms, aborts it after the deadline. Its priority is the lowest, so that lwIP takes it first
 * when a SYN or a connect needs a PCB. Nothing in this module points to it, so nothing has to be cleaned up
 * when it enters TIME-WAIT or is freed.
 */
#include "ending.h"

#include "accept_queue.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"

#define ACCEPT_DRAIN_MAX 64 /* more than an accept mailbox holds */

static void *deadline_in(uint32_t ms) {
    return (void *)(uintptr_t)(u32_t)(sys_now() + ms);
}

static bool is_over(const void *deadline) {
    return (s32_t)(sys_now() - (u32_t)(uintptr_t)deadline) >= 0;
}

/* In FIN-WAIT-2 the peer has acknowledged everything, our FIN too. It gets no reset then, as that could make
 * it lose what it has not read yet. A PCB in TIME-WAIT must not be freed here: ESP-IDF's lwIP polls it once
 * as it enters that state, ignores the answer, and goes on using it. */
static err_t poll_orphan(void *deadline, struct tcp_pcb *pcb) {
    if (pcb->state == TIME_WAIT || !is_over(deadline)) {
        return ERR_OK;
    }
    counters[NC_STAT_OVERTIME]++;
    tcp_err(pcb, NULL);
    tcp_abandon(pcb, pcb->state != FIN_WAIT_2);
    return ERR_ABRT;
}

/* lwIP has freed the PCB: after the peer's reset, after the last acknowledgement (ERR_CLSD), or because a new
 * connection needed it (ERR_ABRT). */
static void orphan_freed(void *deadline, err_t error) {
    (void)deadline;
    counters[NC_STAT_DISPLACED] += error == ERR_ABRT;
}

err_t ending_drop(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    struct netconn *conn = arg;
    (void)error;
    if (data != NULL) {
        tcp_recved(pcb, data->tot_len);
        pbuf_free(data);
    } else {
        entry_event(conn, NETCONN_EVT_RCVPLUS, 0);
    }
    return ERR_OK;
}

static err_t drop_of_orphan(void *deadline, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)deadline;
    return data == NULL ? ERR_OK : ending_drop(NULL, pcb, data, error);
}

void ending_open_window(struct tcp_pcb *pcb) {
    tcpwnd_size_t shut = (tcpwnd_size_t)(TCP_WND_MAX(pcb) - pcb->rcv_wnd);
    if (shut > 0) {
        tcp_recved(pcb, (u16_t)shut);
    }
}

/* Takes the PCB out of its netconn, so that no callback comes for that any more. NULL: the PCB is gone. */
static struct tcp_pcb *take_pcb(struct netconn *conn) {
    struct tcp_pcb *pcb = conn->pcb.tcp;
    conn->callback = NULL;
    conn->pcb.tcp = NULL;
    conn->state = NETCONN_NONE;
    if (pcb != NULL) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, drop_of_orphan);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
        tcp_poll(pcb, NULL, 0);
    }
    return pcb;
}

/* The peer knows nothing of the connection yet, so there is nothing to reset. */
static bool is_unconnected(const struct tcp_pcb *pcb) {
    return pcb->state == CLOSED || pcb->state == SYN_SENT;
}

static err_t close_in_stack(struct tcpip_api_call_data *data) {
    stack_call_t *call = (stack_call_t *)data;
    call->entry->phase = PHASE_ENDING;
    struct tcp_pcb *pcb = take_pcb(call->entry->conn);
    if (pcb == NULL) {
        return ERR_OK;
    }
    if (is_unconnected(pcb)) {
        return tcp_close(pcb);
    }
    tcp_arg(pcb, deadline_in((uint32_t)call->n));
    tcp_err(pcb, orphan_freed);
    tcp_poll(pcb, poll_orphan, 1);
    tcp_setprio(pcb, TCP_PRIO_MIN);
    ending_open_window(pcb); /* lwIP resets when there is unread data */
    return tcp_shutdown(pcb, 0, 1);
}

void ending_close(entry_t *entry, uint32_t ms) {
    stack_call_t call = {.entry = entry, .n = (int)ms};
    in_stack(close_in_stack, &call);
}

static void reset(struct netconn *conn) {
    struct tcp_pcb *pcb = take_pcb(conn);
    if (pcb == NULL) {
        return;
    }
    if (is_unconnected(pcb)) {
        tcp_close(pcb);
    } else {
        tcp_abort(pcb);
    }
}

static err_t abort_in_stack(struct tcpip_api_call_data *data) {
    entry_t *entry = ((stack_call_t *)data)->entry;
    entry->phase = PHASE_ENDING;
    reset(entry->conn);
    return ERR_OK;
}

void ending_abort(entry_t *entry) {
    stack_call_t call = {.entry = entry};
    in_stack(abort_in_stack, &call);
}

static err_t discard_in_stack(struct tcpip_api_call_data *data) {
    reset(((stack_call_t *)data)->conn);
    return ERR_OK;
}

void ending_discard(struct netconn *conn) {
    stack_call_t call = {.conn = conn};
    in_stack(discard_in_stack, &call);
    netconn_prepare_delete(conn);
    netconn_delete(conn);
}

/* ---- listeners ---- */

/* Accept callback of a listener that is ending: lwIP resets the new connection because of the error. */
static err_t refuse(void *arg, struct tcp_pcb *pcb, err_t error) {
    (void)arg;
    (void)pcb;
    (void)error;
    return ERR_VAL;
}

static err_t refuse_in_stack(struct tcpip_api_call_data *data) {
    entry_t *entry = ((stack_call_t *)data)->entry;
    entry->phase = PHASE_ENDING;
    entry->conn->callback = NULL;
    tcp_accept(entry->conn->pcb.tcp, refuse);
    return ERR_OK;
}

void ending_listener(entry_t *entry) {
    stack_call_t call = {.entry = entry};
    struct netconn *conn;
    in_stack(refuse_in_stack, &call);
    accept_queue_reset(entry);
    /* Nothing comes into the mailbox any more. It has to be empty when the netconn is deleted, as lwIP
     * asserts otherwise. */
    for (int i = 0; i < ACCEPT_DRAIN_MAX; i++) {
        err_t error = netconn_accept(entry->conn, &conn);
        if (error == ERR_WOULDBLOCK) {
            return;
        }
        if (error == ERR_OK) {
            ending_discard(conn);
        }
    }
}

/* ---- orphans ---- */

static struct tcp_pcb *first_orphan(struct tcp_pcb *from) {
    while (from != NULL && from->poll != poll_orphan) {
        from = from->next;
    }
    return from;
}

int ending_orphans(void) {
    int count = 0;
    for (struct tcp_pcb *pcb = first_orphan(tcp_active_pcbs); pcb; pcb = first_orphan(pcb->next)) {
        count++;
    }
    return count;
}

static err_t abort_orphans_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb;
    (void)data;
    while ((pcb = first_orphan(tcp_active_pcbs)) != NULL) {
        tcp_err(pcb, NULL);
        tcp_abort(pcb);
    }
    return ERR_OK;
}

void ending_abort_orphans(void) {
    stack_call_t call = {0};
    in_stack(abort_orphans_in_stack, &call);
}
