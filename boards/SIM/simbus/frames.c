#include "frames.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

enum { PIN = 1, CLOCK, SHIFT, HELLO };

#define BIT(n) (1 << (n))

/* By role. */
static const uint8_t controllers_pins[] = {
    BIT(TRANSFER_READY) | BIT(RESET),
    BIT(TRANSFER_READY) | BIT(RESET) | BIT(CS),
    BIT(RESET) | BIT(CS) | BIT(GPIO0),
};
static const int8_t held_pin[] = { CS, DATA_READY, -1 }; /* whose fall is not sent alone */

static int patience_ms;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* --- out */

static uint8_t *put_header(frames_t *frames, int kind, int arg, size_t length) {
    uint8_t *at = frames->out + frames->out_length;
    at[0] = (uint8_t)kind;
    at[1] = (uint8_t)arg;
    at[2] = (uint8_t)length;
    at[3] = (uint8_t)(length >> 8);
    frames->out_length += FRAME_HEADER + length;
    return at + FRAME_HEADER;
}

static void put_pin(frames_t *frames, int pin, int level) {
    *put_header(frames, PIN, pin, 1) = (uint8_t)level;
}

/* A signal neither ends the wait nor restarts its time. */
static bool room_comes(int fd) {
    struct pollfd wanted = { .fd = fd, .events = POLLOUT };
    int64_t until = now_ms() + patience_ms;
    int ready, left;
    do {
        left = (int)(until - now_ms());
        ready = left > 0 ? poll(&wanted, 1, left) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

int frames_send(frames_t *frames) {
    size_t sent = 0;
    while (sent < frames->out_length) {
        ssize_t n = send(frames->fd, frames->out + sent, frames->out_length - sent,
            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno != EAGAIN) {
            return POWER_OFF;
        } else if (!room_comes(frames->fd)) {
            return NOT_TAKEN;
        }
    }
    frames->out_length = 0;
    return 0;
}

int frames_hello(frames_t *frames, const uint8_t *text, size_t length) {
    if (length > LONGEST_SHIFT) {
        length = LONGEST_SHIFT;
    }
    memcpy(put_header(frames, HELLO, frames->role, length), text, length);
    return frames_send(frames);
}

int frames_drive(frames_t *frames, int pin, int level) {
    if (frames->levels[pin] == level) {
        return 0;
    }
    frames->levels[pin] = (int8_t)level;
    put_pin(frames, pin, level);
    bool held = level == 0 && pin == held_pin[frames->role];
    return held ? 0 : frames_send(frames);
}

int frames_clock(frames_t *frames, transfer_t transfer, bool last) {
    frames->transfer = transfer;
    memcpy(put_header(frames, CLOCK, 0, transfer.length), transfer.tx, transfer.length);
    if (last) {
        frames->levels[CS] = 1;
        put_pin(frames, CS, 1);
    }
    return frames_send(frames);
}

void frames_arm(frames_t *frames, transfer_t transfer) {
    frames->transfer = transfer;
}

/* --- power */

void frames_connected(frames_t *frames, int fd, int patience) {
    int on = 1;
    struct timeval limit = { .tv_sec = patience / 1000, .tv_usec = patience % 1000 * 1000 };
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    patience_ms = patience;
    frames->fd = fd;
    frames->in_start = frames->in_end = 0;
    frames->begun = false;
    frames->levels[TRANSFER_READY] = 0; /* as on a board without power */
    frames->levels[CS] = 1;
    frames->levels[RESET] = 1;
}

void frames_power_cycle(frames_t *frames) {
    frames->levels[DATA_READY] = frames->levels[GPIO0] = UNDRIVEN;
    if (frames->role == MODULE_CLOCKED) {
        frames->levels[CS] = UNDRIVEN;
    }
    frames->out_length = 0;
    frames_arm(frames, (transfer_t) { .length = 0 });
}

/* --- in */

static void make_room(frames_t *frames) {
    size_t length = frames->in_end - frames->in_start;
    /* One frame is at most a quarter of the buffer: moving what is left makes room for a whole one. */
    if (frames->in_end == sizeof(frames->in) || length == 0) {
        memmove(frames->in, frames->in + frames->in_start, length);
        frames->in_start = 0;
        frames->in_end = length;
    }
}

static int receive(frames_t *frames, int flags, int when_none) {
    int64_t until = flags & MSG_DONTWAIT ? 0 : now_ms() + patience_ms;
    ssize_t got;
    make_room(frames);
    do {
        got = recv(frames->fd, frames->in + frames->in_end, sizeof(frames->in) - frames->in_end,
            MSG_NOSIGNAL | flags);
    } while (got < 0 && errno == EINTR && now_ms() < until);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return when_none;
    }
    if (got <= 0) {
        return POWER_OFF;
    }
    frames->in_end += (size_t)got;
    return 0;
}

int frames_receive(frames_t *frames) {
    return receive(frames, MSG_DONTWAIT, 0);
}

int frames_await(frames_t *frames) {
    return receive(frames, 0, frames->begun ? UNFINISHED : NOT_CLOCKED);
}

int frames_overdue(frames_t *frames) {
    if (frames->in_end == frames->in_start || frames_waiting(frames)) {
        frames->begun = false;
    } else if (!frames->begun) {
        frames->begun = true;
        frames->begun_ms = now_ms();
    } else if (now_ms() - frames->begun_ms >= patience_ms) {
        return UNFINISHED;
    }
    return 0;
}

static size_t payload_length(const uint8_t *frame) {
    return (size_t)(frame[2] | frame[3] << 8);
}

bool frames_waiting(const frames_t *frames) {
    size_t here = frames->in_end - frames->in_start;
    if (here < FRAME_HEADER) {
        return false;
    }
    size_t length = payload_length(frames->in + frames->in_start);
    return length > LONGEST_SHIFT || here >= FRAME_HEADER + length;
}

static int on_pin(frames_t *frames, int pin, const uint8_t *payload, size_t length) {
    if (length != 1 || payload[0] > 1) {
        return BAD_PIN;
    }
    if (pin >= PINS || !(controllers_pins[frames->role] & BIT(pin))) {
        return FOREIGN_PIN;
    }
    /* The controller drives GPIO0 around a reset only, as a boot strap; its level here is what this side drives. */
    if (pin == GPIO0 || frames->levels[pin] == payload[0]) {
        return HANDLED;
    }
    frames->levels[pin] = (int8_t)payload[0];
    return EDGE + pin;
}

static int on_shift(frames_t *frames, const uint8_t *payload, size_t length) {
    transfer_t *transfer = &frames->transfer;
    if (frames->role != MODULE_CLOCKED || transfer->length == 0) {
        return UNASKED_SHIFT;
    }
    if (length != transfer->length) {
        return SHIFT_LENGTH;
    }
    memcpy(transfer->rx, payload, length);
    transfer->length = 0;
    return HANDLED;
}

/* How many of the next `length` bytes lie before `end`, when so many have passed. */
static size_t of_these(size_t length, size_t end, size_t passed) {
    size_t left = end > passed ? end - passed : 0;
    return left < length ? left : length;
}

static int on_clock(frames_t *frames, const uint8_t *payload, size_t length) {
    if (frames->role == MODULE_CLOCKED || length == 0) {
        return BAD_CLOCK;
    }
    transfer_t *transfer = &frames->transfer;
    size_t shown = of_these(length, transfer->length, transfer->passed);
    size_t taken = of_these(length, transfer->room, transfer->passed);
    uint8_t *out = put_header(frames, SHIFT, 0, length);
    memset(out + shown, 0, length - shown); /* clocks beyond get zeros */
    if (shown) {
        memcpy(out, transfer->tx + transfer->passed, shown);
    }
    if (taken) {
        memcpy(transfer->rx + transfer->passed, payload, taken);
        transfer->passed += taken;
    }
    return CLOCKED;
}

int64_t frames_crossing_ns(const frames_t *frames, int64_t sck_hz) {
    const uint8_t *frame = frames->in + frames->in_start;
    if (sck_hz == 0 || frames->role == MODULE_CLOCKED || !frames_waiting(frames) || frame[0] != CLOCK) {
        return 0;
    }
    return (int64_t)payload_length(frame) * 8000000000LL / sck_hz;
}

int frames_next(frames_t *frames) {
    if (!frames_waiting(frames)) {
        return frames_overdue(frames) ? UNFINISHED : NO_FRAME;
    }
    frames->begun = false;
    const uint8_t *frame = frames->in + frames->in_start;
    const uint8_t *payload = frame + FRAME_HEADER;
    size_t length = payload_length(frame);
    if (length > LONGEST_SHIFT) {
        return TOO_LONG;
    }
    frames->in_start += FRAME_HEADER + length;
    switch (frame[0]) {
        case PIN:
            return on_pin(frames, frame[1], payload, length);
        case SHIFT:
            return on_shift(frames, payload, length);
        case CLOCK:
            return on_clock(frames, payload, length);
        case HELLO:
            return FOREIGN_HELLO;
        default:
            return UNKNOWN_KIND;
    }
}
