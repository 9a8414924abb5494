/* Start and stop; how listeners and connections begin and end; statistics. */
#include "netconn.h"

#include <string.h>

#include "accept_queue.h"
#include "admission.h"
#include "datagrams.h"
#include "ending.h"
#include "entry.h"
#include "lwip/sys.h"
#include "ping.h"
#include "platform.h"
#include "time_wait.h"

int nc_start(const nc_times_t *given) {
    times = *given;
    platform_start();
    return time_wait_start();
}

static void end(entry_t *entry) {
    if (entry->phase == PHASE_LISTENING) {
        ending_listener(entry);
    } else {
        ending_abort(entry);
    }
    entry_release(entry);
}

void nc_stop(void) {
    for (int i = 0; i < NC_ENTRIES; i++) {
        if (entries[i].phase != PHASE_FREE) {
            end(&entries[i]);
        }
    }
    ending_abort_orphans();
    ud_stop();
    ping_stop();
    time_wait_stop();
}

/* ---- addresses: noted when the connection begins, as the PCB may go at any moment ---- */

static void put_u16(uint8_t *into, uint16_t value) {
    into[0] = (uint8_t)value;
    into[1] = (uint8_t)(value >> 8);
}

/* ERR_CLSD when the PCB is gone: the connection was reset before it was accepted. A listener's PCB is a
 * shorter structure, without a remote port. */
static err_t addresses_in_stack(struct tcpip_api_call_data *data) {
    entry_t *entry = ((stack_call_t *)data)->entry;
    const struct tcp_pcb *pcb = entry->conn->pcb.tcp;
    if (pcb == NULL) {
        return ERR_CLSD;
    }
    put_u16(entry->addresses, pcb->local_port);
    if (pcb->state != LISTEN) {
        uint32_t remote = ip4_addr_get_u32(ip_2_ip4(&pcb->remote_ip));
        put_u16(entry->addresses + 2, pcb->remote_port);
        memcpy(entry->addresses + 4, &remote, sizeof(remote));
    }
    return ERR_OK;
}

static err_t remember_addresses(entry_t *entry) {
    stack_call_t call = {.entry = entry};
    return in_stack(addresses_in_stack, &call);
}

int nc_addresses(int handle, uint8_t *into) {
    entry_t *entry = entry_find(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    memcpy(into, entry->addresses, sizeof(entry->addresses));
    return ERR_OK;
}

/* ---- opening ---- */

static struct netconn *new_netconn(void) {
    return netconn_new_with_callback(NETCONN_TCP, entry_event);
}

static int give_up(entry_t *entry, err_t error) {
    ending_abort(entry);
    entry_release(entry);
    return error;
}

/* The port may be listened on while earlier connections to it are in TIME-WAIT. */
static err_t reuse_in_stack(struct tcpip_api_call_data *data) {
    struct tcp_pcb *pcb = pcb_of((stack_call_t *)data);
    ip_set_option(pcb, SOF_REUSEADDR);
    return ERR_OK;
}

static err_t guard_in_stack(struct tcpip_api_call_data *data) {
    struct netconn *conn = ((stack_call_t *)data)->entry->conn;
    admission_guard((struct tcp_pcb_listen *)conn->pcb.tcp);
    return ERR_OK;
}

static u8_t clip_backlog(int backlog) {
    int most = LWIP_MIN(DEFAULT_ACCEPTMBOX_SIZE, 255);
    return (u8_t)(backlog < 1 ? 1 : (backlog < most ? backlog : most));
}

static err_t bind_and_listen(struct netconn *conn, uint32_t ip, uint16_t port, int backlog) {
    ip_addr_t address = IPADDR4_INIT(ip);
    err_t error = netconn_bind(conn, &address, port);
    return error != ERR_OK ? error : netconn_listen_with_backlog(conn, clip_backlog(backlog));
}

int nc_listen(uint32_t ip, uint16_t port, int backlog) {
    entry_t *entry = entry_free_one();
    struct netconn *conn = entry == NULL ? NULL : new_netconn();
    if (conn == NULL) {
        return ERR_MEM;
    }
    stack_call_t call = {.entry = entry};
    int handle = entry_take(entry, conn, PHASE_LISTENING);
    in_stack(reuse_in_stack, &call);
    err_t error = bind_and_listen(conn, ip, port, backlog);
    if (error != ERR_OK) {
        return give_up(entry, error);
    }
    in_stack(guard_in_stack, &call);
    remember_addresses(entry);
    return handle;
}

static err_t spare_in_stack(struct tcpip_api_call_data *data) {
    ((stack_call_t *)data)->n = admission_spare();
    return ERR_OK;
}

int nc_spare(void) {
    stack_call_t call = {0};
    in_stack(spare_in_stack, &call);
    return call.n;
}

int nc_connect(uint32_t ip, uint16_t port) {
    ip_addr_t address = IPADDR4_INIT(ip);
    entry_t *entry = nc_spare() < CONNECTION_MEMORY ? NULL : entry_free_one();
    struct netconn *conn = entry == NULL ? NULL : new_netconn();
    if (conn == NULL) {
        return ERR_MEM;
    }
    int handle = entry_take(entry, conn, PHASE_CONNECTING);
    err_t error = netconn_connect(conn, &address, port);
    if (error != ERR_INPROGRESS) {
        return give_up(entry, error);
    }
    remember_addresses(entry);
    return handle;
}

/* What happened before the connection was accepted becomes an event now. */
static int adopt(entry_t *entry, struct netconn *conn) {
    int handle = entry_take(entry, conn, PHASE_OPEN);
    unsigned bits = entry->peer_done ? NC_CLOSED : 0;
    if (remember_addresses(entry) != ERR_OK) {
        err_t error = netconn_err(conn);
        entry_fail(entry, error == ERR_OK ? ERR_RST : error);
        bits |= NC_ERROR;
    }
    bits |= nc_readable(handle) > 0 ? NC_DATA : 0;
    if (bits) {
        entry_post(entry, bits);
    }
    counters[NC_STAT_ACCEPTED]++;
    return handle;
}

int nc_accept(int handle) {
    entry_t *listener = entry_find(handle);
    entry_t *entry = entry_free_one();
    struct netconn *conn;
    if (listener == NULL || listener->phase != PHASE_LISTENING) {
        return ERR_ARG;
    }
    if (entry == NULL) {
        return ERR_MEM;
    }
    err_t error = accept_queue_take(listener, &conn);
    return error == ERR_OK ? adopt(entry, conn) : error;
}

/* ---- ending ---- */

static uint32_t close_time_ms(const entry_t *entry) {
    return entry->linger_s < 0 ? times.close_ms : (uint32_t)entry->linger_s * 1000;
}

int nc_close(int handle) {
    entry_t *entry = entry_find(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    if (entry->phase == PHASE_LISTENING || entry->linger_s == 0) {
        end(entry);
        return ERR_OK;
    }
    counters[NC_STAT_CLOSED]++;
    ending_close(entry, close_time_ms(entry));
    entry_release(entry);
    return ERR_OK;
}

int nc_abort(int handle) {
    entry_t *entry = entry_find(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    counters[NC_STAT_ABORTED]++;
    end(entry);
    return ERR_OK;
}

int nc_linger(int handle, int seconds) {
    entry_t *entry = entry_find(handle);
    if (entry == NULL) {
        return ERR_ARG;
    }
    entry->linger_s = seconds < 0 ? -1 : seconds;
    return ERR_OK;
}

/* ---- statistics ---- */

struct stats_call {
    stack_call_t base;
    uint32_t *into;
};

static err_t stats_in_stack(struct tcpip_api_call_data *data) {
    uint32_t *into = ((struct stats_call *)data)->into;
    into[NC_STAT_ORPHANS] = (uint32_t)ending_orphans();
    into[NC_STAT_HALF_OPEN] = (uint32_t)admission_half_open();
    return ERR_OK;
}

void nc_stats(uint32_t into[NC_STATS]) {
    struct stats_call call = {.into = into};
    uint32_t used = 0;
    for (int i = 0; i < NC_STATS; i++) {
        into[i] = counters[i];
    }
    for (int i = 0; i < NC_ENTRIES; i++) {
        used += entries[i].phase != PHASE_FREE;
    }
    into[NC_STAT_ENTRIES] = used;
    in_stack(stats_in_stack, &call.base);
}
