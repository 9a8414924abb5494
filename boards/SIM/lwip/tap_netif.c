/*
 * One TAP device, one thread: it reads frames into the stack and delivers, both ways, the frames
 * that the fault injector holds back. The TCP/IP thread, or the holder of the core lock, calls the
 * link output, which writes frames.
 *
 * A read error ends the thread and takes the link down; it never ends the process.
 */
#include "tap_netif.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "faults.h"
#include "lwip/etharp.h"
#include "lwip/ethip6.h"
#include "lwip/pbuf.h"
#include "lwip/tcpip.h"

#define FRAME_MAX 1514
#define HELD_MAX 512

struct held_frame {
    struct held_frame *next;
    struct timespec due;
    enum fault_way way;
    uint16_t length;
    uint8_t bytes[];
};

static int tap_fd = -1;
static int wake_fd = -1; /* eventfd: a frame was held, or the thread shall end */
static pthread_t reader;
static atomic_bool running;
static struct netif *tap;
static pthread_mutex_t held_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct held_frame *held; /* sorted by `due` */
static int held_count;

static void into_the_stack(const uint8_t *bytes, uint16_t length) {
    struct pbuf *frame = pbuf_alloc(PBUF_RAW, length, PBUF_RAM);
    if (frame == NULL) {
        return; /* out of memory: lost, as a chip loses it */
    }
    pbuf_take(frame, bytes, length);
    if (tap->input(frame, tap) != ERR_OK) {
        pbuf_free(frame);
    }
}

static void onto_the_wire(const uint8_t *bytes, uint16_t length) {
    ssize_t written = write(tap_fd, bytes, length);
    (void)written; /* a full or closed device loses the frame, as air does; TCP repeats it */
}

static void deliver(enum fault_way way, const uint8_t *bytes, uint16_t length) {
    if (way == FAULT_IN) {
        into_the_stack(bytes, length);
    } else {
        onto_the_wire(bytes, length);
    }
}

static bool earlier(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static struct timespec in_ms(uint16_t ms) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_nsec += ms * 1000000L;
    at.tv_sec += at.tv_nsec / 1000000000L;
    at.tv_nsec %= 1000000000L;
    return at;
}

static void insert_held(struct held_frame *frame) {
    struct held_frame **place = &held;
    while (*place != NULL && !earlier(&frame->due, &(*place)->due)) {
        place = &(*place)->next;
    }
    frame->next = *place;
    *place = frame;
    held_count++;
}

static void hold(enum fault_way way, const uint8_t *bytes, uint16_t length, uint16_t ms) {
    uint64_t one = 1;
    pthread_mutex_lock(&held_mutex);
    bool has_place = running && held_count < HELD_MAX;
    struct held_frame *frame = has_place ? malloc(sizeof(*frame) + length) : NULL;
    if (frame != NULL) {
        *frame = (struct held_frame){.due = in_ms(ms), .way = way, .length = length};
        memcpy(frame->bytes, bytes, length);
        insert_held(frame);
        ssize_t told = write(wake_fd, &one, sizeof(one));
        (void)told; /* the counter is full only when the thread is already told */
    }
    pthread_mutex_unlock(&held_mutex);
}

static void pass(enum fault_way way, uint8_t *bytes, uint16_t length) {
    verdict_t verdict = faults_judge(way, bytes, length);
    for (int copy = 0; copy < verdict.copies; copy++) {
        if (verdict.hold_ms) {
            hold(way, bytes, length, verdict.hold_ms);
        } else {
            deliver(way, bytes, length);
        }
    }
}

static struct held_frame *take_due(const struct timespec *now) {
    pthread_mutex_lock(&held_mutex);
    struct held_frame *frame = held;
    if (frame != NULL && earlier(now, &frame->due)) {
        frame = NULL;
    }
    if (frame != NULL) {
        held = frame->next;
        held_count--;
    }
    pthread_mutex_unlock(&held_mutex);
    return frame;
}

static void deliver_due(void) {
    struct timespec now = in_ms(0);
    struct held_frame *frame;
    while ((frame = take_due(&now)) != NULL) {
        deliver(frame->way, frame->bytes, frame->length);
        free(frame);
    }
}

/* Milliseconds until the next held frame is due, rounded up; -1 when none is held. */
static int until_due_ms(void) {
    struct timespec now = in_ms(0);
    pthread_mutex_lock(&held_mutex);
    int64_t ms = -1;
    if (held != NULL) {
        ms = (held->due.tv_sec - now.tv_sec) * 1000 + (held->due.tv_nsec - now.tv_nsec) / 1000000;
        ms = ms < 0 ? 0 : ms + 1;
    }
    pthread_mutex_unlock(&held_mutex);
    return (int)ms;
}

static void read_frame(void) {
    uint8_t bytes[FRAME_MAX];
    ssize_t length = read(tap_fd, bytes, sizeof(bytes));
    if (length <= 0) {
        running = false;
        return;
    }
    pass(FAULT_IN, bytes, (uint16_t)length);
}

static void clear_wake(void) {
    uint64_t count;
    ssize_t got = read(wake_fd, &count, sizeof(count));
    (void)got; /* only resets the counter */
}

static void *read_frames(void *unused) {
    struct pollfd fds[2] = {{.fd = tap_fd, .events = POLLIN}, {.fd = wake_fd, .events = POLLIN}};
    (void)unused;
    while (running) {
        if (poll(fds, 2, until_due_ms()) < 0) {
            continue; /* a signal: the descriptors still have their last answer */
        }
        if (fds[1].revents) {
            clear_wake();
        }
        deliver_due();
        if (running && fds[0].revents) {
            read_frame();
        }
    }
    return NULL;
}

static err_t send_frame(struct netif *netif, struct pbuf *frame) {
    uint8_t bytes[FRAME_MAX];
    (void)netif;
    if (frame->tot_len > sizeof(bytes)) {
        return ERR_IF;
    }
    pass(FAULT_OUT, bytes, pbuf_copy_partial(frame, bytes, frame->tot_len, 0));
    return ERR_OK;
}

err_t tap_netif_init(struct netif *netif) {
    static const uint8_t address[6] = {0x02, 0x53, 0x50, 0x49, 0x4e, 0x01}; /* locally administered */
    tap = netif;
    tap_fd = (int)(intptr_t)netif->state;
    netif->name[0] = 't';
    netif->name[1] = 'p';
    netif->output = etharp_output;
    netif->output_ip6 = ethip6_output;
    netif->linkoutput = send_frame;
    netif->mtu = 1500;
    netif->hwaddr_len = sizeof(address);
    memcpy(netif->hwaddr, address, sizeof(address));
    netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_IGMP |
                   NETIF_FLAG_LINK_UP;
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    running = true;
    return pthread_create(&reader, NULL, read_frames, NULL) == 0 ? ERR_OK : ERR_IF;
}

static void drop_held(void) {
    while (held != NULL) {
        struct held_frame *next = held->next;
        free(held);
        held = next;
    }
    held_count = 0;
}

void tap_netif_stop(void) {
    uint64_t one = 1;
    if (tap == NULL) {
        return;
    }
    running = false;
    ssize_t told = write(wake_fd, &one, sizeof(one));
    (void)told;
    pthread_join(reader, NULL);
    pthread_mutex_lock(&held_mutex); /* lwIP goes on, and may still send */
    drop_held();
    close(wake_fd);
    pthread_mutex_unlock(&held_mutex);
    tap = NULL;
}

int tap_netif_held(void) {
    pthread_mutex_lock(&held_mutex);
    int count = held_count;
    pthread_mutex_unlock(&held_mutex);
    return count;
}
