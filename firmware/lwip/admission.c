/*
 * Unfinished handshakes, and memory.
 *
 * Incoming: a half-open PCB inherits its listener's priority and counts against the backlog, and lwIP keeps
 * it for 20 s; a flood of SYNs would lock every client out. So a half-open PCB that is older than half a
 * second gets a lower priority, and the next SYN may take it; one that is older than half_open_ms is
 * aborted, which frees its place in the backlog. Outgoing: an attempt that takes longer than connect_ms
 * fails with ERR_TIMEOUT.
 *
 * Memory: a segment is kept until its acknowledgement comes, and receiving that takes memory. If segments
 * took the last of it, nothing would be acknowledged any more. So the memory that other connections may
 * need is not given away (admission_spare()): a write would-blocks, a SYN is dropped and comes again
 * (time_wait.c), and an outgoing attempt is ERR_MEM.
 */
#include "admission.h"

#include "entry.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/sys.h"
#include "platform.h"

#define PRIORITY_HALF_OPEN (TCP_PRIO_MIN + 1)

#define SPARE_MOST (1 << 24) /* a computer has more than an int can count */

static uint32_t last_ms; /* application thread */

/* Bytes that peers may still send. An eighth more, because each frame has headers, and the driver's
 * buffers are longer than a frame. */
static size_t promised(void) {
    size_t bytes = 0;
    for (const struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        bytes += pcb->rcv_wnd;
    }
    return bytes + bytes / 8;
}

int admission_spare(void) {
    size_t free = platform_memory_free();
    size_t kept = MEMORY_RESERVE + promised();
    return free > kept ? (int)LWIP_MIN(free - kept, SPARE_MOST) : 0;
}

static tcp_accept_fn lwip_accept; /* lwIP's own, the same for all netconns; used in the stack only */

static err_t accept_or_count(void *conn, struct tcp_pcb *pcb, err_t error) {
    if (pcb == NULL) {
        counters[NC_STAT_REFUSED]++;
        return ERR_VAL;
    }
    err_t taken = lwip_accept(conn, pcb, error);
    if (taken == ERR_OK) {
        entry_watch(pcb);
    }
    return taken;
}

void admission_guard(struct tcp_pcb_listen *listener) {
    lwip_accept = listener->accept;
    listener->accept = accept_or_count;
}

static bool is_ours(const struct tcp_pcb_listen *listener) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase == PHASE_LISTENING && entries[i].conn == listener->callback_arg) {
            return true;
        }
    }
    return false;
}

static bool is_half_open(const struct tcp_pcb *pcb) {
    return pcb->state == SYN_RCVD && pcb->listener != NULL && is_ours(pcb->listener);
}

static bool is_too_old(const struct tcp_pcb *pcb) {
    return (tcp_ticks - pcb->tmr) * TCP_SLOW_INTERVAL >= times.half_open_ms;
}

static void set_priority(struct tcp_pcb *pcb) {
    if (is_half_open(pcb) && tcp_ticks != pcb->tmr) {
        tcp_setprio(pcb, PRIORITY_HALF_OPEN);
    } else if (pcb->state != SYN_RCVD && pcb->prio == PRIORITY_HALF_OPEN) {
        tcp_setprio(pcb, PRIORITY_LIVE); /* its handshake was completed */
    }
}

/* True when it aborted a PCB: the list may have changed, so the next pass begins at its head. */
static bool end_one_half_open(void) {
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (is_half_open(pcb) && is_too_old(pcb)) {
            counters[NC_STAT_HALF_OPEN_ENDED]++;
            tcp_abort(pcb);
            return true;
        }
        set_priority(pcb);
    }
    return false;
}

static void end_late_connect(entry_t *entry) {
    struct tcp_pcb *pcb = entry->conn->pcb.tcp;
    if (pcb != NULL && sys_now() - entry->started_ms >= times.connect_ms) {
        counters[NC_STAT_CONNECT_TIMEOUTS]++;
        entry_fail(entry, ERR_TIMEOUT); /* first, as lwIP reports ERR_ABRT next */
        tcp_abandon(pcb, 0);
    }
}

static err_t step_in_stack(struct tcpip_api_call_data *data) {
    (void)data;
    while (end_one_half_open()) {
    }
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase == PHASE_CONNECTING) {
            end_late_connect(&entries[i]);
        }
    }
    return ERR_OK;
}

static bool is_needed(void) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        int phase = entries[i].phase;
        if (phase == PHASE_LISTENING || phase == PHASE_CONNECTING) {
            return true;
        }
    }
    return false;
}

void admission_step(void) {
    stack_call_t call = {0};
    if (sys_now() - last_ms >= ADMISSION_INTERVAL_MS && is_needed()) {
        last_ms = sys_now();
        in_stack(step_in_stack, &call);
    }
}

int admission_half_open(void) {
    int count = 0;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        count += is_half_open(pcb);
    }
    return count;
}
