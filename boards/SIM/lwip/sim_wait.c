/*
 * The wake-up of the TCP stack on SIM: an eventfd, polled together with descriptors that
 * others wait for, because the virtual bus has no interrupts to end a wait with.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "netconn.h"
#include "platform.h"
#include "sim_stack.h"

#define WATCHED_MAX 4

/* The eventfd first, then what is watched. Application thread only. */
static struct pollfd fds[1 + WATCHED_MAX] = {{.fd = -1, .events = POLLIN}};
static int count = 1;
static atomic_bool given; /* set by a wake-up, cleared after a sleep: at most one write is pending */

void platform_start(void) {
    if (fds[0].fd < 0) {
        fds[0].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
}

static bool something_to_read(void) {
    for (int i = 1; i < count; i++) {
        if (fds[i].revents) {
            return true;
        }
    }
    return false;
}

/* The order matters: a wake-up between the read and the store finds `given` set and writes nothing, but its
 * event is where the core looks next. */
void platform_sleep(uint32_t ms) {
    eventfd_t times;
    if (poll(fds, (nfds_t)count, (int)ms) > 0 && something_to_read()) {
        nc_wake();
    }
    eventfd_read(fds[0].fd, &times);
    atomic_store(&given, false);
}

void platform_wake(void) {
    if (!atomic_exchange(&given, true)) {
        eventfd_write(fds[0].fd, 1);
    }
}

void platform_wake_from_isr(void) {
    platform_wake();
}

int sim_watch(int fd) {
    if (count > WATCHED_MAX) {
        return ENOSPC;
    }
    fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return 0;
}

void sim_unwatch(int fd) {
    for (int i = 1; i < count; i++) {
        if (fds[i].fd == fd) {
            fds[i] = fds[--count];
            return;
        }
    }
}
