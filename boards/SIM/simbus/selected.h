/*
 * The SPI target of a module that its controller selects by CS (NINA's role in docs/virtual-bus.md). A
 * thread of its own stands for the SPI peripheral and its interrupts: it alone receives, and it answers
 * CS and SCK also while Python is busy. It never takes the GIL and calls no Python.
 *
 * The functions below are for the service thread. None of them allocates. They wait for the controller only
 * when it does not read from the connection. A code that they return is 0 or why the connection ended, or
 * HELD_IN_RESET from a fall of RESET to selected_settle().
 */

#ifndef SIMBUS_SELECTED_H
#define SIMBUS_SELECTED_H

#include "frames.h"

#include <pthread.h>

typedef struct {
    frames_t frames;
    int64_t sck_hz;
    int bell; /* an eventfd, readable while there is something for selected_take() */
    pthread_t thread;
    pthread_mutex_t lock; /* of frames and of all below */
    pthread_cond_t stopped;
    bool running, stopping;
    bool held; /* RESET has fallen since selected_settle() */
    int code; /* what ended the connection, or 0 */
    int state; /* of `armed` */
    transfer_t armed;
    int received; /* bytes of the transfer that has ended, -1: none has */
} selected_t;

void selected_init(selected_t *self, int64_t sck_hz);

/* A connection has been made: say HELLO and start the thread. 0; a code; or positive, an errno. */
int selected_start(selected_t *self, int fd, int patience_ms, const uint8_t *text, size_t length);

/* End the thread, and with it the connection. No effect when none runs. */
void selected_stop(selected_t *self);

/* As a module that has just been switched on: READY is high, GPIO0 low, nothing is armed. */
int selected_power_cycle(selected_t *self);

/* Arm a transfer: READY falls once CS is high, and rises as CS falls. tx is read and rx written until the
 * transfer has ended or selected_disarm(). */
int selected_arm(selected_t *self, transfer_t transfer);

/* READY is high and nothing is armed. Without a connection too. */
void selected_disarm(selected_t *self);

/* How many bytes of the armed transfer came in, of those that rx has room for; -1 while it has not ended. */
int selected_received(selected_t *self);

/* Drive GPIO0. */
int selected_gpio0(selected_t *self, int level);

/* Silence the bell: 0 or a code. */
int selected_take(selected_t *self);

/* Forget that RESET fell. */
void selected_settle(selected_t *self);

/* True when RESET is high, and has been since selected_settle(). */
bool selected_out_of_reset(selected_t *self);

#endif
