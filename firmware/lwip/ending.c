/*
 * Orderly and sudden ends.
 *
 * A closed connection's PCB is taken out of its netconn, which is freed at once. The PCB itself then
 * carries all that is needed: its callback argument is the moment when its time is over, its poll
 * callback (every 500 ms, in the TCP/IP thread) compares, its priority is the lowest, so that lwIP's
 * own search for a victim finds it when a SYN or a connect needs a PCB. Nothing of ours points to it,
 * and once it is in TIME-WAIT or freed there is nothing to forget.
 */
#include "ending.h"

#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "accept_queue.h"

#define ACCEPT_DRAIN_MAX 64 /* more than any accept mailbox holds */

static void *deadline_in(uint32_t ms) {
    return (void *)(uintptr_t)(u32_t)(sys_now() + ms);
}

static bool is_over(const void *deadline) {
    return (s32_t)(sys_now() - (u32_t)(uintptr_t)deadline) >= 0;
}

/* In FIN-WAIT-2 the peer has everything including our FIN: no reset, which could cost it what it
 * has not read yet. In TIME-WAIT the PCB is the stack's alone: ESP-IDF's lwIP polls it once as it enters,
 * ignores the answer, and goes on using it. */
static err_t poll_dying(void *deadline, struct tcp_pcb *pcb) {
    if (pcb->state == TIME_WAIT || !is_over(deadline)) {
        return ERR_OK;
    }
    counters[NC_STAT_OVERTIME]++;
    tcp_err(pcb, NULL);
    tcp_abandon(pcb, pcb->state != FIN_WAIT_2);
    return ERR_ABRT;
}

/* The PCB is freed already: by the peer's reset, by the last acknowledgement (ERR_CLSD), or because
 * a new connection needed it (ERR_ABRT). */
static void dying_ended(void *deadline, err_t error) {
    (void)deadline;
    counters[NC_STAT_DISPLACED] += error == ERR_ABRT;
}

err_t dying_drop(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
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

static err_t drop_dying(void *deadline, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)deadline;
    return data == NULL ? ERR_OK : dying_drop(NULL, pcb, data, error);
}

void dying_open_window(struct tcp_pcb *pcb) {
    tcpwnd_size_t shut = (tcpwnd_size_t)(TCP_WND_MAX(pcb) - pcb->rcv_wnd);
    if (shut > 0) {
        tcp_recved(pcb, (u16_t)shut);
    }
}

/* Parts a netconn and its PCB, so that no callback can reach us any more; NULL if the PCB is gone. */
static struct tcp_pcb *take_pcb(struct netconn *conn) {
    struct tcp_pcb *pcb = conn->pcb.tcp;
    conn->callback = NULL;
    conn->pcb.tcp = NULL;
    conn->state = NETCONN_NONE;
    if (pcb != NULL) {
        tcp_arg(pcb, NULL);
        tcp_recv(pcb, drop_dying);
        tcp_sent(pcb, NULL);
        tcp_err(pcb, NULL);
        tcp_poll(pcb, NULL, 0);
    }
    return pcb;
}

/* Nothing was ever agreed with a peer: there is nobody to tell. */
static bool is_unconnected(const struct tcp_pcb *pcb) {
    return pcb->state == CLOSED || pcb->state == SYN_SENT;
}

struct bury_call {
    stack_call_t base;
    uint32_t ms;
};

static err_t bury_in_stack(struct tcpip_api_call_data *data) {
    struct bury_call *call = (struct bury_call *)data;
    call->base.entry->phase = PHASE_ENDING;
    struct tcp_pcb *pcb = take_pcb(call->base.entry->conn);
    if (pcb == NULL) {
        return ERR_OK;
    }
    if (is_unconnected(pcb)) {
        return tcp_close(pcb);
    }
    tcp_arg(pcb, deadline_in(call->ms));
    tcp_err(pcb, dying_ended);
    tcp_poll(pcb, poll_dying, 1);
    tcp_setprio(pcb, TCP_PRIO_MIN);
    dying_open_window(pcb); /* else lwIP takes unread data for a reason to reset */
    return tcp_shutdown(pcb, 0, 1);
}

void dying_bury(entry_t *entry, uint32_t ms) {
    struct bury_call call = {.base.entry = entry, .ms = ms};
    in_stack(bury_in_stack, &call.base);
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

void dying_abort(entry_t *entry) {
    stack_call_t call = {.entry = entry};
    in_stack(abort_in_stack, &call);
}

struct conn_call {
    stack_call_t base;
    struct netconn *conn;
};

static err_t discard_in_stack(struct tcpip_api_call_data *data) {
    reset(((struct conn_call *)data)->conn);
    return ERR_OK;
}

void dying_discard(struct netconn *conn) {
    struct conn_call call = {.conn = conn};
    in_stack(discard_in_stack, &call.base);
    netconn_prepare_delete(conn);
    netconn_delete(conn);
}

/* ---- listeners ---- */

/* Accept callback of a listener that is going: any error makes lwIP reset the newcomer. */
static err_t refuse(void *arg, struct tcp_pcb *newcomer, err_t error) {
    (void)arg;
    (void)newcomer;
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

void dying_refuse_all(entry_t *entry) {
    stack_call_t call = {.entry = entry};
    struct netconn *waiting;
    in_stack(refuse_in_stack, &call);
    waiting_refuse(entry);
    /* Nothing is added to the mailbox any more; what is in it must not be left to lwIP, which
     * asserts on it. */
    for (int i = 0; i < ACCEPT_DRAIN_MAX; i++) {
        err_t error = netconn_accept(entry->conn, &waiting);
        if (error == ERR_WOULDBLOCK) {
            return;
        }
        if (error == ERR_OK) {
            dying_discard(waiting);
        }
    }
}

/* ---- all of them ---- */

static struct tcp_pcb *first_dying(struct tcp_pcb *from) {
    while (from != NULL && from->poll != poll_dying) {
        from = from->next;
    }
    return from;
}

int dying_count(void) {
    int count = 0;
    for (struct tcp_pcb *pcb = first_dying(tcp_active_pcbs); pcb; pcb = first_dying(pcb->next)) {
        count++;
    }
    return count;
}

static err_t abort_all_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb;
    (void)data;
    while ((pcb = first_dying(tcp_active_pcbs)) != NULL) {
        tcp_err(pcb, NULL);
        tcp_abort(pcb);
    }
    return ERR_OK;
}

void dying_abort_all(void) {
    stack_call_t call = {0};
    in_stack(abort_all_in_stack, &call);
}
