/*
 * The core on real lwIP as a process that a test commands: one line in, one line out.
 *
 * A command is a name and integers (write, udp_send: the third word is hex, - for nothing); the answer is an
 * integer, and for what gives bytes or several numbers they follow. Anything else is answered with "?".
 *
 * Usage: rig TAP_FD IP NETMASK GATEWAY (TAP_FD -1: loopback only; addresses are dotted)
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "datagrams.h"
#include "entry.h"
#include "faults.h"
#include "heap.h"
#include "lwip/memp.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/priv/tcpip_priv.h"
#include "netconn.h"
#include "ping.h"
#include "stack.h"
#include "tap_netif.h"

#define WORDS 10
#define BYTES_MAX 65536

static long args[WORDS];
static uint8_t bytes[BYTES_MAX];
static int byte_count;
static char line[2 * BYTES_MAX + 256];

static void answer(int value) {
    printf("%d\n", value);
}

static void answer_bytes(int value, int count) {
    printf("%d ", value);
    for (int i = 0; i < count; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

/* As the firmware starts it. */
static const nc_times_t usual = {.close_ms = 4000, .connect_ms = 10000, .half_open_ms = 3000};

/* 0 is the usual time. */
static void do_start(void) {
    nc_times_t times = {
        .close_ms = args[0] ? (uint32_t)args[0] : usual.close_ms,
        .connect_ms = args[1] ? (uint32_t)args[1] : usual.connect_ms,
        .half_open_ms = args[2] ? (uint32_t)args[2] : usual.half_open_ms,
    };
    answer(nc_start(&times));
}

static void do_stop(void) {
    nc_stop();
    answer(0);
}

static void do_listen(void) {
    answer(nc_listen((uint32_t)args[0], (uint16_t)args[1], (int)args[2]));
}

static void do_accept(void) {
    answer(nc_accept((int)args[0]));
}

static void do_connect(void) {
    answer(nc_connect((uint32_t)args[0], (uint16_t)args[1]));
}

static void do_addresses(void) {
    int result = nc_addresses((int)args[0], bytes);
    answer_bytes(result, result == 0 ? 8 : 0);
}

static void do_readable(void) {
    answer(nc_readable((int)args[0]));
}

static void do_read(void) {
    int n = nc_read((int)args[0], bytes, (int)(args[1] < BYTES_MAX ? args[1] : BYTES_MAX));
    answer_bytes(n, n > 0 ? n : 0);
}

static void do_recved(void) {
    answer(nc_recved((int)args[0], (int)args[1]));
}

static void do_shutdown_rx(void) {
    answer(nc_shutdown_rx((int)args[0]));
}

static void do_write(void) {
    answer(nc_write((int)args[0], bytes, byte_count, (int)args[1]));
}

static void do_in_flight(void) {
    answer(nc_in_flight((int)args[0]));
}

static void do_close(void) {
    answer(nc_close((int)args[0]));
}

static void do_abort(void) {
    answer(nc_abort((int)args[0]));
}

static void do_linger(void) {
    answer(nc_linger((int)args[0], (int)args[1]));
}

static void do_keepalive(void) {
    answer(nc_keepalive((int)args[0], (int)args[1], (int)args[2], (int)args[3]));
}

static void do_events(void) {
    answer(nc_events((int)args[0]));
}

static void do_error(void) {
    answer(nc_error((int)args[0]));
}

static void do_pending(void) {
    answer(nc_pending());
}

static void do_overlook(void) {
    nc_overlook((uint32_t)args[0]);
    answer(0);
}

static void do_wait(void) {
    int woken = nc_wait((int)args[0]);
    nc_tidy();
    answer(woken);
}

static void do_wake(void) {
    nc_wake();
    answer(0);
}

static void *wake_later(void *ms) {
    usleep((useconds_t)(uintptr_t)ms * 1000);
    nc_wake();
    return NULL;
}

static void do_wake_after(void) {
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, wake_later, (void *)(uintptr_t)args[0]);
    if (!failed) {
        pthread_detach(thread);
    }
    answer(failed);
}

static void put_peer_of_args(uint8_t *peer) {
    uint32_t ip = (uint32_t)args[1];
    peer[0] = (uint8_t)args[3];
    peer[1] = (uint8_t)(args[3] >> 8);
    memcpy(peer + 2, &ip, sizeof(ip));
}

static void do_udp_bind(void) {
    answer(ud_bind((uint32_t)args[0], (uint16_t)args[1], args[2] != 0));
}

/* handle, ip, hex, port */
static void do_udp_send(void) {
    uint8_t peer[UD_PEER_SIZE];
    put_peer_of_args(peer);
    answer(ud_send((int)args[0], peer, bytes, byte_count));
}

static void do_udp_length(void) {
    answer(ud_length((int)args[0]));
}

/* The length, then the sender's 6 octets and the n that the caller has room for. */
static void do_udp_receive(void) {
    int n = (int)(args[1] < BYTES_MAX - UD_PEER_SIZE ? args[1] : BYTES_MAX - UD_PEER_SIZE);
    int length = ud_receive((int)args[0], bytes + UD_PEER_SIZE, n, bytes);
    answer_bytes(length, length < 0 ? 0 : UD_PEER_SIZE + (length < n ? length : n));
}

static void do_udp_dropped(void) {
    answer(ud_dropped((int)args[0]));
}

static void do_udp_join(void) {
    answer(ud_join((int)args[0], (uint32_t)args[1], (uint32_t)args[2]));
}

static void do_udp_leave(void) {
    answer(ud_leave((int)args[0]));
}

static void do_udp_close(void) {
    answer(ud_close((int)args[0]));
}

static void do_udp_pending(void) {
    answer(ud_pending());
}

static void do_ping(void) {
    answer(ping_send((uint32_t)args[0], (uint8_t)args[1]));
}

static void do_echo(void) {
    answer(ping_echo());
}

static void do_stats(void) {
    uint32_t stats[NC_STATS];
    nc_stats(stats);
    for (int i = 0; i < NC_STATS; i++) {
        printf("%u ", stats[i]);
    }
    printf("\n");
}

struct memory_call {
    struct tcpip_api_call_data base;
    int pcbs, time_wait, netconns, segments, blocks, held;
};

/* All at one moment, between two things that the stack does. */
static err_t memory_in_stack(struct tcpip_api_call_data *data) {
    struct memory_call *now = (struct memory_call *)data;
    now->pcbs = heap_in_use(MEMP_TCP_PCB);
    for (struct tcp_pcb *pcb = tcp_tw_pcbs; pcb != NULL; pcb = pcb->next) {
        now->time_wait++;
    }
    now->netconns = heap_in_use(MEMP_NETCONN);
    now->segments = heap_in_use(MEMP_TCP_SEG);
    now->blocks = heap_blocks();
    now->held = tap_netif_held();
    return ERR_OK;
}

/* PCBs, TIME-WAIT PCBs, netconns, segments, heap blocks, held frames. */
static void do_memory(void) {
    struct memory_call now = {.pcbs = 0};
    tcpip_api_call(memory_in_stack, &now.base);
    printf("%d %d %d %d %d %d\n", now.pcbs, now.time_wait, now.netconns, now.segments, now.blocks,
           now.held);
}

/* Bytes that were sent and are not acknowledged, and the window that the peer has left for more. */
struct flight_call {
    struct tcpip_api_call_data base;
    entry_t *entry;
    int bytes, window;
};

static err_t flight_in_stack(struct tcpip_api_call_data *data) {
    struct flight_call *call = (struct flight_call *)data;
    const struct tcp_pcb *pcb = call->entry->conn->pcb.tcp;
    if (pcb != NULL) {
        call->bytes = (int)(pcb->snd_nxt - pcb->lastack);
        call->window = pcb->snd_wnd;
    }
    return ERR_OK;
}

static void do_flight(void) {
    struct flight_call call = {.entry = entry_find((int)args[0])};
    if (call.entry != NULL) {
        tcpip_api_call(flight_in_stack, &call.base);
    }
    printf("%d %d\n", call.bytes, call.window);
}

/* The closing ones' time is over, and lwIP looks at them again in two minutes only. */
static err_t overdue_in_stack(struct tcpip_api_call_data *unused) {
    (void)unused;
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next) {
        if (pcb->prio == TCP_PRIO_MIN) {
            tcp_arg(pcb, (void *)(uintptr_t)sys_now());
            tcp_poll(pcb, pcb->poll, UINT8_MAX);
        }
    }
    return ERR_OK;
}

static void do_overdue(void) {
    struct tcpip_api_call_data call;
    answer(tcpip_api_call(overdue_in_stack, &call));
}

/* A receiver without a place, as lwIP's own is while its mailbox is full. */
static err_t no_place(void *conn, struct tcp_pcb *pcb, struct pbuf *data, err_t error) {
    (void)conn;
    (void)pcb;
    (void)data;
    (void)error;
    return ERR_MEM;
}

static err_t full_in_stack(struct tcpip_api_call_data *data) {
    tcp_recv(pcb_of((stack_call_t *)data), no_place);
    return ERR_OK;
}

static void do_full(void) {
    stack_call_t call = {.entry = entry_find((int)args[0])};
    answer(in_stack(full_in_stack, &call));
}

/* What ends the process, because it would stop a chip. */
static void do_protect_twice(void) {
    SYS_ARCH_DECL_PROTECT(outer);
    SYS_ARCH_DECL_PROTECT(inner);
    SYS_ARCH_PROTECT(outer);
    SYS_ARCH_PROTECT(inner);
    SYS_ARCH_UNPROTECT(inner);
    SYS_ARCH_UNPROTECT(outer);
    answer(0);
}

static void do_unprotect(void) {
    SYS_ARCH_UNPROTECT(0);
    answer(0);
}

#if LWIP_TCPIP_CORE_LOCKING
static void do_lock_twice(void) {
    LOCK_TCPIP_CORE();
    do_overdue();
    UNLOCK_TCPIP_CORE();
}
#endif

static void do_active_pcbs(void) {
    answer(stack_active_pcbs((int)args[0]));
}

static void do_limit_pcbs(void) {
    heap_limit_pcbs((int)args[0]);
    answer(0);
}

static void do_limit_blocks(void) {
    heap_limit_blocks((int)args[0]);
    answer(0);
}

static void do_limit_bytes(void) {
    heap_limit_bytes((int)args[0]);
    answer(0);
}

static void do_bytes(void) {
    answer(heap_bytes());
}

static void do_spare(void) {
    answer(nc_spare());
}

static void do_faults(void) {
    faults_t faults = {(uint16_t)args[0], (uint16_t)args[1], (uint16_t)args[2],
                       (uint16_t)args[3], (uint16_t)args[4], (uint16_t)args[5]};
    faults_set(&faults, (uint32_t)args[6]);
    answer(0);
}

static void do_peer_dead(void) {
    faults_peer_dead((uint32_t)args[0], args[1] != 0);
    answer(0);
}

static void do_link(void) {
    stack_link(args[0] != 0);
    answer(0);
}

static void do_interface(void) {
    stack_interface(args[0] != 0);
    answer(0);
}

static void do_lost(void) {
    answer((int)faults_lost());
}

static void do_warp(void) {
    stack_warp((uint32_t)args[0]);
    answer(0);
}

static void do_now(void) {
    answer((int)(clock_now_ms() & 0x7fffffff));
}

static const struct {
    const char *name;
    void (*handler)(void);
} commands[] = {
    {"start", do_start},
    {"stop", do_stop},
    {"listen", do_listen},
    {"accept", do_accept},
    {"connect", do_connect},
    {"addresses", do_addresses},
    {"readable", do_readable},
    {"read", do_read},
    {"recved", do_recved},
    {"shutdown_rx", do_shutdown_rx},
    {"write", do_write},
    {"in_flight", do_in_flight},
    {"close", do_close},
    {"abort", do_abort},
    {"linger", do_linger},
    {"keepalive", do_keepalive},
    {"events", do_events},
    {"error", do_error},
    {"pending", do_pending},
    {"overlook", do_overlook},
    {"wait", do_wait},
    {"wake", do_wake},
    {"wake_after", do_wake_after},
    {"udp_bind", do_udp_bind},
    {"udp_send", do_udp_send},
    {"udp_length", do_udp_length},
    {"udp_receive", do_udp_receive},
    {"udp_dropped", do_udp_dropped},
    {"udp_join", do_udp_join},
    {"udp_leave", do_udp_leave},
    {"udp_close", do_udp_close},
    {"udp_pending", do_udp_pending},
    {"ping", do_ping},
    {"echo", do_echo},
    {"stats", do_stats},
    {"memory", do_memory},
    {"flight", do_flight},
    {"overdue", do_overdue},
    {"full", do_full},
    {"protect_twice", do_protect_twice},
    {"unprotect", do_unprotect},
#if LWIP_TCPIP_CORE_LOCKING
    {"lock_twice", do_lock_twice},
#endif
    {"active_pcbs", do_active_pcbs},
    {"limit_pcbs", do_limit_pcbs},
    {"limit_blocks", do_limit_blocks},
    {"limit_bytes", do_limit_bytes},
    {"bytes", do_bytes},
    {"spare", do_spare},
    {"faults", do_faults},
    {"peer_dead", do_peer_dead},
    {"link", do_link},
    {"interface", do_interface},
    {"lost", do_lost},
    {"warp", do_warp},
    {"now", do_now},
};

static int nibble(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

static void parse_hex(const char *word) {
    byte_count = 0;
    for (; word[0] != '\0' && word[1] != '\0' && byte_count < BYTES_MAX; word += 2) {
        bytes[byte_count++] = (uint8_t)(nibble(word[0]) << 4 | nibble(word[1]));
    }
}

static void parse(void) {
    char *word;
    for (int i = 0; i < WORDS && (word = strtok(NULL, " \n")) != NULL; i++) {
        if (i == 2 && (strcmp(line, "write") == 0 || strcmp(line, "udp_send") == 0)) {
            parse_hex(word);
        } else {
            args[i] = strtol(word, NULL, 10);
        }
    }
}

static void obey(void) {
    const char *name = strtok(line, " \n");
    memset(args, 0, sizeof(args));
    byte_count = 0;
    for (size_t i = 0; name != NULL && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(name, commands[i].name) == 0) {
            parse();
            commands[i].handler();
            return;
        }
    }
    printf("?\n");
}

/* SIGUSR1 is nc_wake() while a wait is under way: no command can be given then. */
static void *wake_on_signal(void *signals) {
    int number;
    while (sigwait(signals, &number) == 0) {
        nc_wake();
    }
    return NULL;
}

static void start_waker(void) {
    static sigset_t signals;
    pthread_t thread;
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in every thread that is made from here on */
    if (pthread_create(&thread, NULL, wake_on_signal, &signals) == 0) {
        pthread_detach(thread);
    }
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: rig TAP_FD IP NETMASK GATEWAY\n");
        return 2;
    }
    stack_config_t config = {atoi(argv[1]), inet_addr(argv[2]), inet_addr(argv[3]), inet_addr(argv[4])};
    setvbuf(stdout, NULL, _IOLBF, sizeof(line));
    start_waker();
    stack_up(&config);
    nc_start(&usual);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        obey();
    }
    nc_stop();
    stack_down();
    return 0;
}
