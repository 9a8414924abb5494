#include "selected.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* How often the thread looks whether a frame that began is overdue. */
#define LOOK_MS (1000)

/* The state of a transfer. ARMED while CS is low: it waits for the next selection. */
enum { NONE, ARMED, UNDER_WAY };

static const transfer_t NOTHING = { .length = 0 };

/* Every static function but the thread's own is called with the lock held. */

static void ring(selected_t *self) {
    uint64_t one = 1;
    ssize_t written = write(self->bell, &one, sizeof(one));
    (void)written; /* it fails only when the bell has rung some 2^64 times */
}

static int status(const selected_t *self) {
    return self->code < 0 ? self->code : self->held ? HELD_IN_RESET : 0;
}

static void drop_transfer(selected_t *self) {
    self->state = NONE;
    self->received = -1;
    frames_arm(&self->frames, NOTHING);
}

/* Send the level of a pin. An error ends the connection. */
static int drive(selected_t *self, int pin, int level) {
    int code = frames_drive(&self->frames, pin, level);
    if (code < 0) {
        self->code = code;
        ring(self);
    }
    return code;
}

/* ---- the thread ---- */

static int cs_fell(selected_t *self) {
    if (self->state != ARMED) {
        return 0; /* this selection has no effect */
    }
    self->state = UNDER_WAY;
    frames_arm(&self->frames, self->armed);
    return drive(self, DATA_READY, 1);
}

static int cs_rose(selected_t *self) {
    size_t passed = self->frames.transfer.passed;
    if (self->state == UNDER_WAY && passed) {
        self->state = NONE;
        self->received = (int)passed;
        ring(self);
    } else if (self->state == UNDER_WAY) {
        self->state = ARMED;
    }
    frames_arm(&self->frames, NOTHING);
    return self->state == ARMED ? drive(self, DATA_READY, 0) : 0;
}

static int reset_changed(selected_t *self) {
    ring(self);
    if (self->frames.levels[RESET]) {
        return 0;
    }
    self->held = true;
    drop_transfer(self);
    return drive(self, DATA_READY, 1);
}

/* The side that clocks has to wait for as long as the bytes take. Python may use the target meanwhile. */
static void wait_for_crossing(selected_t *self) {
    int64_t ns = frames_crossing_ns(&self->frames, self->sck_hz);
    if (ns == 0) {
        return;
    }
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    ns += end.tv_nsec;
    end.tv_sec += ns / 1000000000;
    end.tv_nsec = ns % 1000000000;
    while (!self->stopping && pthread_cond_timedwait(&self->stopped, &self->lock, &end) == 0) {
    }
}

/* Handle the next whole frame: NO_FRAME, more, or a code. */
static int handle(selected_t *self) {
    wait_for_crossing(self);
    int what = frames_next(&self->frames);
    int code = 0;
    if (what == CLOCKED) {
        code = frames_send(&self->frames);
    } else if (what == EDGE + CS) {
        code = self->frames.levels[CS] ? cs_rose(self) : cs_fell(self);
    } else if (what == EDGE + RESET) {
        code = reset_changed(self);
    }
    return code < 0 ? code : what;
}

static int handle_all(selected_t *self) {
    int code = frames_receive(&self->frames);
    if (code < 0) {
        return code;
    }
    do {
        code = handle(self);
    } while (code > NO_FRAME);
    return code;
}

/* Let the thread run before Python, like a chip's interrupt, if the system allows it to this process. */
static void come_first(void) {
    struct sched_param lowest = { .sched_priority = sched_get_priority_min(SCHED_RR) };
    pthread_setschedparam(pthread_self(), SCHED_RR, &lowest);
}

static void *answer(void *argument) {
    selected_t *self = argument;
    struct pollfd wanted = { .fd = self->frames.fd, .events = POLLIN };
    int code = 0;
    prctl(PR_SET_NAME, "simbus"); /* as top -H shows it, and bench/ready.py finds it */
    come_first();
    while (code == 0) {
        poll(&wanted, 1, self->frames.begun ? LOOK_MS : -1);
        pthread_mutex_lock(&self->lock);
        code = self->code < 0 ? self->code : handle_all(self);
        pthread_mutex_unlock(&self->lock);
    }
    pthread_mutex_lock(&self->lock);
    self->code = code;
    ring(self);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* Without signals, which are for Python's threads. */
static int start_thread(selected_t *self) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&self->thread, NULL, answer, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* ---- the service ---- */

void selected_init(selected_t *self, int64_t sck_hz) {
    pthread_condattr_t monotonic;
    *self = (selected_t) { .frames = { .role = NINA }, .sck_hz = sck_hz, .code = POWER_OFF };
    drop_transfer(self);
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int selected_start(selected_t *self, int fd, int patience_ms, const uint8_t *text, size_t length) {
    frames_connected(&self->frames, fd, patience_ms);
    frames_power_cycle(&self->frames);
    int code = frames_hello(&self->frames, text, length);
    if (code < 0) {
        return code;
    }
    self->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->bell < 0) {
        return errno;
    }
    self->stopping = self->held = false;
    self->code = 0;
    drop_transfer(self);
    int error = start_thread(self);
    self->running = error == 0;
    if (error) {
        self->code = POWER_OFF;
        close(self->bell);
    }
    return error;
}

void selected_stop(selected_t *self) {
    if (!self->running) {
        return;
    }
    shutdown(self->frames.fd, SHUT_RDWR); /* first, as a thread that waits for room has the lock */
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->stopped);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    close(self->bell);
    self->running = false;
    self->code = POWER_OFF;
}

int selected_power_cycle(selected_t *self) {
    pthread_mutex_lock(&self->lock);
    int code = status(self);
    if (code == 0) {
        drop_transfer(self);
        frames_power_cycle(&self->frames);
        code = drive(self, DATA_READY, 1);
    }
    if (code == 0) {
        code = drive(self, GPIO0, 0);
    }
    pthread_mutex_unlock(&self->lock);
    return code;
}

int selected_arm(selected_t *self, transfer_t transfer) {
    pthread_mutex_lock(&self->lock);
    int code = status(self);
    if (code == 0) {
        drop_transfer(self);
        self->armed = transfer;
        self->state = ARMED;
        if (self->frames.levels[CS]) {
            code = drive(self, DATA_READY, 0);
        }
    }
    pthread_mutex_unlock(&self->lock);
    return code;
}

void selected_disarm(selected_t *self) {
    pthread_mutex_lock(&self->lock);
    drop_transfer(self);
    if (status(self) == 0) {
        drive(self, DATA_READY, 1);
    }
    pthread_mutex_unlock(&self->lock);
}

int selected_received(selected_t *self) {
    pthread_mutex_lock(&self->lock);
    int received = self->received;
    pthread_mutex_unlock(&self->lock);
    return received;
}

int selected_gpio0(selected_t *self, int level) {
    pthread_mutex_lock(&self->lock);
    int code = status(self);
    if (code == 0) {
        code = drive(self, GPIO0, level);
    }
    pthread_mutex_unlock(&self->lock);
    return code;
}

int selected_take(selected_t *self) {
    uint64_t rung;
    pthread_mutex_lock(&self->lock);
    if (self->running) {
        ssize_t got = read(self->bell, &rung, sizeof(rung));
        (void)got; /* it fails when the bell has not rung */
    }
    int code = status(self);
    pthread_mutex_unlock(&self->lock);
    return code;
}

void selected_settle(selected_t *self) {
    pthread_mutex_lock(&self->lock);
    self->held = false;
    pthread_mutex_unlock(&self->lock);
}

bool selected_out_of_reset(selected_t *self) {
    pthread_mutex_lock(&self->lock);
    bool out = !self->held && self->frames.levels[RESET] == 1;
    pthread_mutex_unlock(&self->lock);
    return out;
}
