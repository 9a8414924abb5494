/*
 * Clients that connect from the port of a connection in TIME-WAIT.
 *
 * lwIP answers their SYN with an ACK until TIME-WAIT is over, or with a reset when the SYN is in the old
 * window. RFC 1122, 4.2.2.13, allows a new connection if the SYN's sequence number lies beyond all that the
 * client sent on the old one, and our initial sequence number beyond all that we sent: no segment of the old
 * connection can then be taken for one of the new. A SYN with a lower number may be an old duplicate, and is
 * left to lwIP.
 *
 * lwIP has no callback for a SYN that meets a PCB in TIME-WAIT, but a raw PCB sees each segment before TCP
 * does. Its callback removes the old PCB, so that TCP finds the listener. Our initial sequence number is
 * raised where tcp_in.c asks for it: tcp_next_iss() is wrapped at link time.
 *
 * The same callback drops SYNs for which there is no memory.
 */
#include "time_wait.h"

#include "admission.h"
#include "entry.h"
#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/prot/tcp.h"
#include "lwip/raw.h"

u32_t __real_tcp_next_iss(struct tcp_pcb *pcb);
u32_t __wrap_tcp_next_iss(struct tcp_pcb *pcb);

static struct raw_pcb *watch;

/* About the SYN that lwIP is handling: set by look(), and used when TCP takes the SYN. */
static bool reopens;
static u32_t least_iss;

u32_t __wrap_tcp_next_iss(struct tcp_pcb *pcb) {
    u32_t iss = __real_tcp_next_iss(pcb);
    return reopens && TCP_SEQ_LT(iss, least_iss) ? least_iss : iss;
}

static struct tcp_pcb *find_old(u16_t local_port, u16_t remote_port) {
    struct tcp_pcb *pcb = tcp_tw_pcbs;
    while (pcb != NULL && !(pcb->local_port == local_port && pcb->remote_port == remote_port &&
                            ip_addr_cmp(&pcb->local_ip, ip_current_dest_addr()) &&
                            ip_addr_cmp(&pcb->remote_ip, ip_current_src_addr()))) {
        pcb = pcb->next;
    }
    return pcb;
}

/* TCP drops a SYN that finds no place in the backlog. TIME-WAIT must outlast that. */
static bool has_place(u16_t port) {
    const struct tcp_pcb_listen *pcb = tcp_listen_pcbs.listen_pcbs;
    for (; pcb != NULL; pcb = pcb->next) {
        if (pcb->local_port == port && pcb->accepts_pending < pcb->backlog &&
            (ip_addr_isany(&pcb->local_ip) ||
             ip_addr_cmp(&pcb->local_ip, ip_current_dest_addr()))) {
            return true;
        }
    }
    return false;
}

/* The checksum is verified here because TCP has not done it yet. */
static bool is_intact(struct pbuf *packet, u16_t ip_header) {
    pbuf_remove_header(packet, ip_header);
    u16_t sum = ip_chksum_pseudo(packet, IP_PROTO_TCP, packet->tot_len, ip_current_src_addr(),
                                 ip_current_dest_addr());
    pbuf_add_header_force(packet, ip_header);
    return sum == 0;
}

static void reopen(struct tcp_pcb *old) {
    least_iss = old->snd_nxt;
    reopens = true;
    tcp_abort(old); /* in TIME-WAIT this sends nothing and calls no callback */
}

/* lwIP's callback for every segment. */
static u8_t look(void *unused, struct raw_pcb *raw, struct pbuf *packet, const ip_addr_t *from) {
    u16_t ip_header = IPH_HL_BYTES((const struct ip_hdr *)packet->payload);
    const struct tcp_hdr *tcp = (const void *)((const u8_t *)packet->payload + ip_header);
    (void)unused;
    (void)raw;
    (void)from;
    reopens = false;
    if (packet->len < ip_header + TCP_HLEN ||
        (TCPH_FLAGS(tcp) & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
        return 0;
    }
    if (admission_spare() < CONNECTION_MEMORY) {
        counters[NC_STAT_REFUSED]++;
        pbuf_free(packet);
        return 1; /* the client sends it again */
    }
    u16_t port = lwip_ntohs(tcp->dest);
    struct tcp_pcb *old = find_old(port, lwip_ntohs(tcp->src));
    if (old != NULL && TCP_SEQ_GEQ(lwip_ntohl(tcp->seqno), old->rcv_nxt) && has_place(port) &&
        is_intact(packet, ip_header)) {
        reopen(old);
    }
    return 0; /* lwIP passes it on to TCP */
}

static err_t start_in_stack(struct tcpip_api_call_data *data) {
    (void)data;
    if (watch == NULL) {
        watch = raw_new(IP_PROTO_TCP);
        if (watch == NULL) {
            return ERR_MEM;
        }
        raw_recv(watch, look, NULL);
    }
    return ERR_OK;
}

static err_t stop_in_stack(struct tcpip_api_call_data *data) {
    (void)data;
    if (watch != NULL) {
        raw_remove(watch);
        watch = NULL;
    }
    return ERR_OK;
}

err_t time_wait_start(void) {
    stack_call_t call = {0};
    return in_stack(start_in_stack, &call);
}

void time_wait_stop(void) {
    stack_call_t call = {0};
    in_stack(stop_in_stack, &call);
}
