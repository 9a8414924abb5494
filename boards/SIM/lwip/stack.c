/* Start and stop of lwIP on this computer, and a look at its PCB lists for tests and reports. */
#include "stack.h"

#include "clock.h"
#include "faults.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/priv/tcpip_priv.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"
#include "tap_netif.h"

static struct netif tap;
static bool has_tap;

struct start {
    const stack_config_t *config;
    sys_sem_t done;
};

static void add_tap(const stack_config_t *config) {
    ip4_addr_t ip = {config->ip}, netmask = {config->netmask}, gateway = {config->gateway};
    void *state = (void *)(intptr_t)config->tap_fd;
    has_tap = netif_add(&tap, &ip, &netmask, &gateway, state, tap_netif_init, tcpip_input) != NULL;
    netif_set_default(&tap);
    netif_set_up(&tap);
}

static void started(void *argument) {
    struct start *start = argument;
    if (start->config->tap_fd >= 0) {
        add_tap(start->config);
    }
    sys_sem_signal(&start->done);
}

void stack_up(const stack_config_t *config) {
    struct start start = {.config = config};
    sys_sem_new(&start.done, 0);
    tcpip_init(started, &start);
    sys_arch_sem_wait(&start.done, 0);
    sys_sem_free(&start.done);
}

void stack_down(void) {
    tap_netif_stop();
}

struct flag_call {
    struct tcpip_api_call_data call;
    bool up;
};

static err_t set_link(struct tcpip_api_call_data *call) {
    bool up = ((struct flag_call *)call)->up;
    faults_link_down(!up);
    (up ? netif_set_link_up : netif_set_link_down)(&tap);
    return ERR_OK;
}

static err_t set_interface(struct tcpip_api_call_data *call) {
    (((struct flag_call *)call)->up ? netif_set_up : netif_set_down)(&tap);
    return ERR_OK;
}

void stack_link(bool up) {
    struct flag_call call = {.up = up};
    if (has_tap) {
        tcpip_api_call(set_link, &call.call);
    }
}

void stack_interface(bool up) {
    struct flag_call call = {.up = up};
    if (has_tap) {
        tcpip_api_call(set_interface, &call.call);
    }
}

static void nothing(void *unused) {
    (void)unused;
}

void stack_warp(uint32_t factor) {
    clock_warp(factor);
    tcpip_callback(nothing, NULL); /* its wait was computed with the old factor */
}

struct count_call {
    struct tcpip_api_call_data call;
    int state;
    int count;
};

static err_t count_active(struct tcpip_api_call_data *data) {
    struct count_call *call = (struct count_call *)data;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        call->count += call->state < 0 || (int)pcb->state == call->state;
    }
    return ERR_OK;
}

int stack_active_pcbs(int tcp_state) {
    struct count_call call = {.state = tcp_state};
    tcpip_api_call(count_active, &call.call);
    return call.count;
}
