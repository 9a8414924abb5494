/*
 * The way out: the caller's buffer -> lwIP's segments, one copy, and what becomes of it.
 *
 * The copy is queued with tcp_write() in the stack, not with netconn_write(), which on an error does
 * not tell how much it has queued: with no route it has queued everything, and a caller who tries
 * again sends it twice. Here what was queued is what is returned, whatever sending it said.
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

/* Bytes that there is memory for. Each is there twice, in a segment and in the driver's frame until that
 * is on the air, and a short segment takes as much as a long one. A connection with nothing in flight may
 * send one segment out of what others were promised: no acknowledgement would call for its next try. */
static int affordable(const struct tcp_pcb *pcb) {
    int bytes = admission_spare() / 9 * 4;
    if (bytes >= pcb->mss) {
        return bytes;
    }
    bool alone = pcb->snd_queuelen == 0 && platform_memory_free() > MEMORY_RESERVE + 3u * pcb->mss;
    return alone ? pcb->mss : 0;
}

/* lwIP's limit is on pbufs; one copied segment is one pbuf, and one may be chained to the last. */
static int room(const struct tcp_pcb *pcb) {
    int pbufs = TCP_SND_QUEUELEN - pcb->snd_queuelen;
    int bytes = LWIP_MIN((pbufs - 1) * pcb->mss, affordable(pcb));
    return pbufs < 2 ? 0 : LWIP_MIN(bytes, tcp_sndbuf(pcb));
}

/* Queues n bytes, or half of them, or half of that, while memory or pbufs are short. PSH only when
 * this is the end of what the caller asked for. Returns how many, or an error. */
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

/* A push and a flush wait for nobody; gathering is what Nagle is for. The last write decides. */
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
        netconn_set_flags(conn, NETCONN_FLAG_CHECK_WRITESPACE); /* lwIP's poll then reports room */
    } else if (!call->more) {
        push_last(pcb);
    }
    set_nagle(pcb, call->more == NC_GATHER || !all);
    counters[NC_STAT_NO_ROUTE] += tcp_output(pcb) == ERR_RTE;
    return ERR_OK;
}

int nc_write(int handle, const void *from, int n, int more) {
    entry_t *entry = entry_find(handle);
    if (entry == NULL || n < 0 || entry->phase == PHASE_LISTENING) {
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

/* ---- looking ---- */

struct look_call {
    stack_call_t base;
    int result;
};

static err_t writable_in_stack(struct tcpip_api_call_data *data) {
    struct look_call *call = (struct look_call *)data;
    const struct tcp_pcb *pcb = pcb_of(&call->base);
    if (pcb != NULL && call->base.entry->phase == PHASE_OPEN) {
        call->result = room(pcb);
    }
    return ERR_OK;
}

/* By sequence numbers, which are exact; the free send buffer also counts SYN and FIN. */
static err_t in_flight_in_stack(struct tcpip_api_call_data *data) {
    struct look_call *call = (struct look_call *)data;
    const struct tcp_pcb *pcb = pcb_of(&call->base);
    if (pcb != NULL && call->base.entry->phase == PHASE_OPEN) {
        call->result = (int)(pcb->snd_lbb - pcb->lastack);
    }
    return ERR_OK;
}

static int look(int handle, tcpip_api_call_fn function) {
    struct look_call call = {.base.entry = entry_find(handle)};
    if (call.base.entry == NULL || call.base.entry->phase == PHASE_LISTENING) {
        return ERR_ARG;
    }
    in_stack(function, &call.base);
    return call.result;
}

int nc_writable(int handle) {
    return look(handle, writable_in_stack);
}

int nc_in_flight(int handle) {
    return look(handle, in_flight_in_stack);
}

/* ---- options of a PCB ---- */

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
    entry_t *entry = entry_find(handle);
    if (entry == NULL || entry->phase == PHASE_LISTENING) {
        return ERR_ARG;
    }
    struct keepalive_call call = {{.entry = entry}, idle_s, interval_s, count};
    return in_stack(keepalive_in_stack, &call.base);
}
