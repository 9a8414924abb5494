#include "bus.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIN = 1, CLOCK, SHIFT, HELLO };
enum { HEADER = 4, LONGEST = 4096, NINA = 2, CLOSED = -1 };

static int bus = CLOSED;
static uint8_t levels[PINS];
static uint8_t in[2 * (HEADER + LONGEST)];
static size_t in_length;
static unsigned clocked; /* CLOCK frames whose SHIFT has not come */
static uint8_t *shift_to; /* where the last of those goes, or NULL */

static bool lost(void) {
    bus_close();
    return false;
}

static bool send_frame(int kind, int arg, const uint8_t *payload, size_t n) {
    uint8_t frame[HEADER + LONGEST] = { (uint8_t)kind, (uint8_t)arg, (uint8_t)n, (uint8_t)(n >> 8) };
    memcpy(frame + HEADER, payload, n);
    for (size_t sent = 0; sent < HEADER + n;) {
        ssize_t more = send(bus, frame + sent, HEADER + n - sent, MSG_NOSIGNAL);
        if (more >= 0) {
            sent += (size_t)more;
        } else if (errno != EINTR) {
            return lost();
        }
    }
    return true;
}

static void take_shift(const uint8_t *payload, size_t n) {
    clocked--;
    if (clocked == 0 && shift_to) {
        memcpy(shift_to, payload, n);
    }
}

/* Handle the first frame and remove it; false while it is not whole. */
static bool take_frame(void) {
    size_t n = in_length < HEADER ? LONGEST : (size_t)(in[2] | in[3] << 8);
    if (in_length < HEADER + n) {
        return false;
    }
    if (in[0] == PIN && in[1] < PINS) {
        levels[in[1]] = in[HEADER];
    } else if (in[0] == SHIFT && clocked) {
        take_shift(in + HEADER, n);
    } else if (in[0] != HELLO || in[1] != NINA) {
        lost();
    }
    in_length -= HEADER + n;
    memmove(in, in + HEADER + n, in_length);
    return true;
}

bool bus_wait(int ms) {
    struct pollfd wanted = { .fd = bus, .events = POLLIN };
    if (bus == CLOSED || poll(&wanted, 1, ms) <= 0) {
        return bus != CLOSED;
    }
    ssize_t n = recv(bus, in + in_length, sizeof(in) - in_length, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        return lost();
    }
    in_length += n > 0 ? (size_t)n : 0;
    while (bus != CLOSED && take_frame()) {
    }
    return bus != CLOSED;
}

bool bus_open(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    bus = fd;
    in_length = clocked = 0;
    memset(levels, 1, sizeof(levels));
    return bus_wait(-1);
}

void bus_close(void) {
    if (bus != CLOSED) {
        close(bus);
        bus = CLOSED;
    }
}

void bus_drive(int pin, int level) {
    uint8_t byte = (uint8_t)level;
    levels[pin] = byte;
    if (bus != CLOSED) {
        send_frame(PIN, pin, &byte, 1);
    }
}

int bus_level(int pin) {
    bus_wait(0);
    return levels[pin];
}

static bool clock_frame(const uint8_t *tx, uint8_t *rx, size_t n) {
    static const uint8_t nothing[LONGEST];
    shift_to = rx;
    clocked++;
    if (bus == CLOSED || !send_frame(CLOCK, 0, tx ? tx : nothing, n)) {
        return false;
    }
    while (rx && clocked) {
        if (!bus_wait(-1)) {
            return false;
        }
    }
    return true;
}

bool bus_clock(const uint8_t *tx, uint8_t *rx, size_t n) {
    for (size_t done = 0, part; done < n; done += part) {
        part = n - done < LONGEST ? n - done : LONGEST;
        if (!clock_frame(tx ? tx + done : NULL, rx ? rx + done : NULL, part)) {
            return false;
        }
    }
    return true;
}
