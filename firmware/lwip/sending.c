/*
 * Sending: one copy, from the caller's buffer into lwIP's segments.
 *
 * The bytes are queued with tcp_write() in the stack. netconn_write() does not tell on an error how much it
 * has queued: without a route it has queued everything, and a caller that tries again sends it twice. Here
 * nc_write() returns how much was queued, also when sending it failed.
 */
#include "entry.h"

#include "admission.h"
#include "lwip/priv/tcp_priv.h"
#include "platform.h"

struct write_call {
    stack_call_t base;
    const u8_t *from;
    int n;
    int more; /* NC_PUSH, NC_FLUSH or NC_GATHER */
    int taken;
};

/* Bytes that there is memory for. Each byte takes memory twice: in a segment, and in the driver's frame until
 * that is on the air; and a short segment takes as much as a long one. A connection with nothing in flight
 * may take one segment of the memory that others were promised, because no acknowledgement would cause its
 * next try. */
static int affordable(const struct tcp_pcb *pcb) {
    int bytes = admission_spare() / 9 * 4;
    if (bytes >= pcb->mss) {
        return bytes;
    }
    bool alone = pcb->snd_queuelen == 0 && platform_memory_free() > MEMORY_RESERVE + 3u * pcb->mss;
    return alone ? pcb->mss : 0;
}

/* Queues n bytes, or half of them, or a quarter, and so on, while memory or pbufs are short. PSH is set only
 * when all that the caller asked for was queued. Returns how many bytes, or an error. */
static int queue(struct tcp_pcb *pcb, const struct write_call *call) {
    int n = LWIP_MIN(LWIP_MIN(call->n, tcp_sndbuf(pcb)), affordable(pcb));
    err_t error = ERR_MEM;
    for (; n > 0 && error == ERR_MEM; n /= 2) {
        bool more = call->more || n < call->n;
        u8_t flags = TCP_WRITE_FLAG_COPY | (more ? TCP_WRITE_FLAG_MORE : 0);
        error = tcp_write(pcb, call->from, (u16_t)n, flags);
        if (error == ERR_OK) {
            return n;
        }
    }
    return error == ERR_MEM ? 0 : error;
}

static void push_last(const struct tcp_pcb *pcb) {
    struct tcp_seg *last = pcb->unsent;
    while (last != NULL && last->next != NULL) {
        last = last->next;
    }
    if (last != NULL) {
        TCPH_SET_FLAG(last->tcphdr, TCP_PSH);
    }
}

/* What is pushed or flushed leaves at once; Nagle's algorithm gathers the rest. The last write decides. */
static void set_nagle(struct tcp_pcb *pcb, bool gather) {
    if (gather) {
        tcp_nagle_enable(pcb);
    } else {
        tcp_nagle_disable(pcb);
    }
}

static err_t write_in_stack(struct tcpip_api_call_data *data) {
    struct write_call *call = (struct write_call *)data;
    struct netconn *conn = call->base.entry->conn;
    struct tcp_pcb *pcb = conn->pcb.tcp;
    if (pcb == NULL) {
        return ERR_CLSD;
    }
    call->taken = queue(pcb, call);
    if (call->taken < 0) {
        return (err_t)call->taken;
    }
    bool all = call->taken == call->n;
    if (!all) {
        netconn_set_flags(conn, NETCONN_FLAG_CHECK_WRITESPACE); /* lwIP's poll reports room then */
    } else if (!call->more) {
        push_last(pcb);
    }
    set_nagle(pcb, call->more == NC_GATHER || !all);
    counters[NC_STAT_NO_ROUTE] += tcp_output(pcb) == ERR_RTE;
    return ERR_OK;
}

int nc_write(int handle, const void *from, int n, int more) {
    entry_t *entry = entry_find_connection(handle);
    if (entry == NULL || n < 0) {
        return ERR_ARG;
    }
    if (entry->error != ERR_OK) {
        return entry->error;
    }
    if (entry->phase == PHASE_CONNECTING) {
        return ERR_WOULDBLOCK;
    }
    struct write_call call = {.base.entry = entry, .from = from, .n = n, .more = more};
    err_t error = in_stack(write_in_stack, &call.base);
    if (error != ERR_OK) {
        return entry->error != ERR_OK ? entry->error : error;
    }
    return call.taken || n == 0 ? call.taken : ERR_WOULDBLOCK;
}

/* ---- in flight, keepalive ---- */

/* From the sequence numbers: the free send buffer counts SYN and FIN too. */
static err_t in_flight_in_stack(struct tcpip_api_call_data *data) {
    stack_call_t *call = (stack_call_t *)data;
    const struct tcp_pcb *pcb = pcb_of(call);
    if (pcb != NULL && call->entry->phase == PHASE_OPEN) {
        call->n = (int)(pcb->snd_lbb - pcb->lastack);
    }
    return ERR_OK;
}

int nc_in_flight(int handle) {
    stack_call_t call = {.entry = entry_find_connection(handle)};
    if (call.entry == NULL) {
        return ERR_ARG;
    }
    in_stack(in_flight_in_stack, &call);
    return call.n;
}

struct keepalive_call {
    stack_call_t base;
    int idle_s;
    int interval_s;
    int count;
};

static err_t keepalive_in_stack(struct tcpip_api_call_data *data) {
    struct keepalive_call *call = (struct keepalive_call *)data;
    struct tcp_pcb *pcb = pcb_of(&call->base);
    if (pcb == NULL) {
        return ERR_CLSD;
    }
    if (call->idle_s <= 0) {
        ip_reset_option(pcb, SOF_KEEPALIVE);
        return ERR_OK;
    }
    ip_set_option(pcb, SOF_KEEPALIVE);
    pcb->keep_idle = (u32_t)call->idle_s * 1000;
    pcb->keep_intvl = (u32_t)call->interval_s * 1000;
    pcb->keep_cnt = (u32_t)call->count;
    return ERR_OK;
}

int nc_keepalive(int handle, int idle_s, int interval_s, int count) {
    entry_t *entry = entry_find_connection(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    struct keepalive_call call = {{.entry = entry}, idle_s, interval_s, count};
    return in_stack(keepalive_in_stack, &call.base);
}
