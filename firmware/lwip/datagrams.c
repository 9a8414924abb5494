/* UDP ports: PCBs of lwIP whose receive callback queues pbufs. The queues are touched inside the stack only. */
#include "datagrams.h"

#include <string.h>

#include "admission.h"
#include "entry.h"
#include "lwip/igmp.h"
#include "lwip/udp.h"

#define INDEX_BITS 5
#define GENERATIONS (1u << 24) /* with the index a handle stays below 2^29 */
#define FIRST_FREE 0xC000      /* of the ports that belong to no service; it has the bits that all of them have */
#define RANDOM_TRIES 4
#define MULTICAST_TTL 255      /* mDNS wants it (RFC 6762, 11) */

typedef struct {
    struct pbuf *data;
    uint8_t sender[UD_PEER_SIZE];
} datagram_t;

typedef struct {
    struct udp_pcb *pcb; /* NULL: this port is free. Written by the application thread, inside the stack. */
    uint32_t generation;
    ip4_addr_t group; /* any: in no group */
    ip4_addr_t own;
    datagram_t queue[UD_QUEUE]; /* a ring: `count` datagrams from `first` on */
    int first;
    int count;
    uint32_t dropped;
} port_t;

/* What goes into the stack and comes out of it. */
typedef struct {
    struct tcpip_api_call_data call;
    port_t *port;
    ip4_addr_t ip;
    ip4_addr_t own;
    uint16_t number;
    bool shared;
    void *into;
    const void *from;
    uint8_t *sender;
    int n;
} udp_call_t;

static port_t ports[UD_PORTS];
static atomic_uint news; /* bit per index; what ud_pending() returns and clears */

static int index_of(const port_t *port) {
    return (int)(port - ports);
}

static int handle_of(const port_t *port) {
    return (int)(port->generation << INDEX_BITS) | index_of(port);
}

static port_t *find(int handle) {
    unsigned index = (unsigned)handle & ((1u << INDEX_BITS) - 1);
    if (handle > 0 && index < UD_PORTS && ports[index].pcb != NULL &&
        handle_of(&ports[index]) == handle) {
        return &ports[index];
    }
    counters[NC_STAT_STALE]++;
    return NULL;
}

static port_t *free_one(void) {
    for (int i = 0; i < UD_PORTS; i++) {
        if (ports[i].pcb == NULL) {
            return &ports[i];
        }
    }
    return NULL;
}

/* Runs the function inside the stack, for the port of this handle. */
static int for_port(int handle, tcpip_api_call_fn function, udp_call_t *call) {
    call->port = find(handle);
    return call->port == NULL ? ERR_ARG : tcpip_api_call(function, &call->call);
}

static udp_call_t *call_of(struct tcpip_api_call_data *data) {
    return (udp_call_t *)data;
}

/* ---- receiving ---- */

/* An empty queue takes a datagram also when memory is short, so that a question gets its answer. */
static bool has_place(const port_t *port) {
    return port->count == 0 || (port->count < UD_QUEUE && admission_spare() > 0);
}

static void put_peer(uint8_t *into, const ip_addr_t *ip, uint16_t number) {
    uint32_t octets = ip4_addr_get_u32(ip_2_ip4(ip));
    into[0] = (uint8_t)number;
    into[1] = (uint8_t)(number >> 8);
    memcpy(into + 2, &octets, sizeof(octets));
}

static void tell(const port_t *port) {
    atomic_fetch_or(&news, 1u << index_of(port));
    entry_note_datagrams();
}

static void received(void *its_port, struct udp_pcb *pcb, struct pbuf *data, const ip_addr_t *ip,
                     u16_t number) {
    port_t *port = its_port;
    (void)pcb;
    if (!has_place(port)) {
        port->dropped++;
        pbuf_free(data);
        return;
    }
    datagram_t *last = &port->queue[(port->first + port->count++) % UD_QUEUE];
    last->data = data;
    put_peer(last->sender, ip, number);
    tell(port);
}

static void drop_first(port_t *port) {
    pbuf_free(port->queue[port->first].data);
    port->first = (port->first + 1) % UD_QUEUE;
    port->count--;
}

static err_t length_in_stack(struct tcpip_api_call_data *data) {
    udp_call_t *call = call_of(data);
    port_t *port = call->port;
    call->n = port->count ? port->queue[port->first].data->tot_len : ERR_WOULDBLOCK;
    return ERR_OK;
}

int ud_length(int handle) {
    udp_call_t call = {.n = 0};
    int error = for_port(handle, length_in_stack, &call);
    return error ? error : call.n;
}

static err_t receive_in_stack(struct tcpip_api_call_data *data) {
    udp_call_t *call = call_of(data);
    port_t *port = call->port;
    const datagram_t *next = &port->queue[port->first];
    if (port->count == 0) {
        return ERR_WOULDBLOCK;
    }
    memcpy(call->sender, next->sender, UD_PEER_SIZE);
    pbuf_copy_partial(next->data, call->into, (u16_t)LWIP_MIN(call->n, UINT16_MAX), 0);
    call->n = next->data->tot_len;
    drop_first(port);
    if (port->count) {
        tell(port);
    }
    return ERR_OK;
}

int ud_receive(int handle, void *into, int n, uint8_t sender[UD_PEER_SIZE]) {
    udp_call_t call = {.into = into, .n = n, .sender = sender};
    int error = for_port(handle, receive_in_stack, &call);
    return error ? error : call.n;
}

static err_t dropped_in_stack(struct tcpip_api_call_data *data) {
    call_of(data)->n = (int)(call_of(data)->port->dropped & INT32_MAX >> 2); /* a small integer */
    return ERR_OK;
}

int ud_dropped(int handle) {
    udp_call_t call = {.n = 0};
    int error = for_port(handle, dropped_in_stack, &call);
    return error ? error : call.n;
}

int ud_pending(void) {
    return (int)atomic_exchange(&news, 0);
}

/* ---- sending ---- */

static err_t send_in_stack(struct tcpip_api_call_data *data) {
    udp_call_t *call = call_of(data);
    ip_addr_t ip = IPADDR4_INIT(ip4_addr_get_u32(&call->ip));
    struct pbuf *packet = pbuf_alloc(PBUF_TRANSPORT, (u16_t)call->n, PBUF_RAM);
    if (packet == NULL) {
        return ERR_MEM;
    }
    pbuf_take(packet, call->from, (u16_t)call->n);
    err_t error = udp_sendto(call->port->pcb, packet, &ip, call->number);
    pbuf_free(packet);
    return error;
}

int ud_send(int handle, const uint8_t peer[UD_PEER_SIZE], const void *from, int n) {
    udp_call_t call = {.from = from, .n = n, .number = (uint16_t)(peer[0] | peer[1] << 8)};
    memcpy(&call.ip, peer + 2, sizeof(call.ip));
    if (n < 0 || n > UD_MOST) {
        return ERR_VAL;
    }
    int error = for_port(handle, send_in_stack, &call);
    return error ? error : n;
}

/* ---- multicast ---- */

static err_t join_in_stack(struct tcpip_api_call_data *data) {
    udp_call_t *call = call_of(data);
    port_t *port = call->port;
    if (!ip4_addr_isany_val(port->group)) {
        return ERR_USE;
    }
    err_t error = igmp_joingroup(&call->own, &call->ip);
    if (error == ERR_OK) {
        port->group = call->ip;
        port->own = call->own;
        udp_set_multicast_netif_addr(port->pcb, &port->own);
        udp_set_multicast_ttl(port->pcb, MULTICAST_TTL);
    }
    return error;
}

int ud_join(int handle, uint32_t group, uint32_t own) {
    udp_call_t call = {.ip = {group}, .own = {own}};
    return for_port(handle, join_in_stack, &call);
}

static void leave(port_t *port) {
    if (!ip4_addr_isany_val(port->group)) {
        igmp_leavegroup(&port->own, &port->group);
        ip4_addr_set_any(&port->group);
    }
}

static err_t leave_in_stack(struct tcpip_api_call_data *data) {
    leave(call_of(data)->port);
    return ERR_OK;
}

int ud_leave(int handle) {
    udp_call_t call = {.n = 0};
    return for_port(handle, leave_in_stack, &call);
}

/* ---- opening and closing ---- */

/* lwIP counts its free ports up, so that one could be foretold from the one before: the tries are random ones. */
static err_t bind_somewhere(struct udp_pcb *pcb, const ip_addr_t *ip) {
    for (int i = 0; i < RANDOM_TRIES; i++) {
        if (udp_bind(pcb, ip, (u16_t)(FIRST_FREE | LWIP_RAND())) == ERR_OK) {
            return ERR_OK;
        }
    }
    return udp_bind(pcb, ip, 0);
}

static err_t bind_in_stack(struct tcpip_api_call_data *data) {
    udp_call_t *call = call_of(data);
    port_t *port = call->port;
    ip_addr_t ip = IPADDR4_INIT(ip4_addr_get_u32(&call->ip));
    struct udp_pcb *pcb = udp_new_ip_type(IPADDR_TYPE_V4);
    if (pcb == NULL) {
        return ERR_MEM;
    }
    if (call->shared) {
        ip_set_option(pcb, SOF_REUSEADDR);
    }
    err_t error = call->number ? udp_bind(pcb, &ip, call->number) : bind_somewhere(pcb, &ip);
    if (error != ERR_OK) {
        udp_remove(pcb);
        return error;
    }
    uint32_t generation = port->generation + 1 < GENERATIONS ? port->generation + 1 : 1;
    *port = (port_t){.pcb = pcb, .generation = generation};
    udp_recv(pcb, received, port);
    return ERR_OK;
}

int ud_bind(uint32_t ip, uint16_t port, bool shared) {
    udp_call_t call = {.port = free_one(), .ip = {ip}, .number = port, .shared = shared};
    int error = call.port == NULL ? ERR_MEM : tcpip_api_call(bind_in_stack, &call.call);
    return error ? error : handle_of(call.port);
}

static err_t close_in_stack(struct tcpip_api_call_data *data) {
    port_t *port = call_of(data)->port;
    leave(port);
    udp_remove(port->pcb);
    port->pcb = NULL;
    while (port->count) {
        drop_first(port);
    }
    atomic_fetch_and(&news, ~(1u << index_of(port)));
    return ERR_OK;
}

int ud_close(int handle) {
    udp_call_t call = {.n = 0};
    return for_port(handle, close_in_stack, &call);
}

void ud_stop(void) {
    for (int i = 0; i < UD_PORTS; i++) {
        if (ports[i].pcb != NULL) {
            ud_close(handle_of(&ports[i]));
        }
    }
}
