/* Ping: a raw PCB that sees every ICMP message, from the first ping on. */
#include "ping.h"

#include <string.h>

#include "entry.h"
#include "lwip/icmp.h"
#include "lwip/inet_chksum.h"
#include "lwip/raw.h"
#include "lwip/sys.h"

#define NUMBER PP_HTONS(0x5350) /* of all our pings; their sequence tells them apart */
#define DATA_SIZE 32

typedef struct {
    struct tcpip_api_call_data call;
    ip4_addr_t ip;
    uint8_t ttl;
} ping_call_t;

/* Touched inside the stack only, but for `took`. */
static struct raw_pcb *pcb; /* NULL: before the first ping, and after ping_stop() */
static ip4_addr_t target;
static uint16_t sequence;
static uint32_t sent_ms;
static atomic_int took = ERR_WOULDBLOCK; /* ms */

static bool is_ours(const struct icmp_echo_hdr *echo, const ip_addr_t *from) {
    return ICMPH_TYPE(echo) == ICMP_ER && echo->id == NUMBER && echo->seqno == lwip_htons(sequence) &&
           ip4_addr_cmp(ip_2_ip4(from), &target);
}

/* lwIP's callback for every ICMP message; 0: lwIP goes on with it. */
static u8_t look(void *unused, struct raw_pcb *raw, struct pbuf *packet, const ip_addr_t *from) {
    struct icmp_echo_hdr echo;
    u16_t ip_header = ip_current_header_tot_len();
    int none = ERR_WOULDBLOCK;
    (void)unused;
    (void)raw;
    if (pbuf_copy_partial(packet, &echo, sizeof(echo), ip_header) == sizeof(echo) &&
        is_ours(&echo, from)) {
        atomic_compare_exchange_strong(&took, &none, (int)(sys_now() - sent_ms));
    }
    return 0;
}

static bool is_ready(void) {
    if (pcb == NULL && (pcb = raw_new(IP_PROTO_ICMP)) != NULL) {
        raw_recv(pcb, look, NULL);
    }
    return pcb != NULL;
}

static struct pbuf *request(void) {
    struct pbuf *packet = pbuf_alloc(PBUF_IP, sizeof(struct icmp_echo_hdr) + DATA_SIZE, PBUF_RAM);
    if (packet != NULL) {
        struct icmp_echo_hdr *echo = packet->payload;
        memset(packet->payload, 0, packet->len);
        ICMPH_TYPE_SET(echo, ICMP_ECHO);
        echo->id = NUMBER;
        echo->seqno = lwip_htons(++sequence);
        echo->chksum = inet_chksum(packet->payload, packet->len);
    }
    return packet;
}

static err_t send_in_stack(struct tcpip_api_call_data *data) {
    const ping_call_t *call = (const ping_call_t *)data;
    ip_addr_t ip = IPADDR4_INIT(ip4_addr_get_u32(&call->ip));
    struct pbuf *packet = is_ready() ? request() : NULL;
    if (packet == NULL) {
        return ERR_MEM;
    }
    target = call->ip;
    sent_ms = sys_now();
    atomic_store(&took, ERR_WOULDBLOCK);
    pcb->ttl = call->ttl;
    err_t error = raw_sendto(pcb, packet, &ip);
    pbuf_free(packet);
    return error;
}

int ping_send(uint32_t ip, uint8_t ttl) {
    ping_call_t call = {.ip = {ip}, .ttl = ttl};
    return tcpip_api_call(send_in_stack, &call.call);
}

int ping_echo(void) {
    return atomic_load(&took);
}

static err_t stop_in_stack(struct tcpip_api_call_data *data) {
    (void)data;
    if (pcb != NULL) {
        raw_remove(pcb);
        pcb = NULL;
    }
    return ERR_OK;
}

void ping_stop(void) {
    struct tcpip_api_call_data call;
    tcpip_api_call(stop_in_stack, &call);
}
