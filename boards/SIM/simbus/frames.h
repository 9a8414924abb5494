/*
 * The virtual bus as frames on a TCP connection, module's side: received bytes are split into frames
 * and checked, frames to send are gathered into as few system calls as possible. See
 * docs/virtual-bus.md.
 *
 * All of it runs in the service thread, or in the thread of selected.c, and allocates nothing. Only
 * frames_await() blocks, and frames_send() while the peer does not read.
 */

#ifndef SIMBUS_FRAMES_H
#define SIMBUS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODULE_CLOCKED, CONTROLLER_CLOCKED, NINA };
enum { TRANSFER_READY, DATA_READY, CS, RESET, GPIO0, PINS };

/* The level of a pin that was never driven: neither 0 nor 1. */
#define UNDRIVEN (-1)

#define FRAME_HEADER (4)
#define LONGEST_SHIFT (4096)
#define PIN_FRAME (FRAME_HEADER + 1)

/* Results of frames_next(). A pin whose level changed is EDGE + its number. */
enum {
    NO_FRAME, /* no whole frame has come */
    HANDLED,
    CLOCKED, /* the SHIFT that answers it is ready for frames_send() */
    EDGE,
};

/* Why the connection ends: the power is off, or one side broke a rule. HELD_IN_RESET does not end it: RESET
 * fell. */
enum {
    POWER_OFF = -1,
    NOT_TAKEN = -2, /* the controller does not read any more */
    NOT_CLOCKED = -3, /* nothing came in time */
    TOO_LONG = -4,
    BAD_PIN = -5,
    FOREIGN_PIN = -6,
    UNASKED_SHIFT = -7,
    SHIFT_LENGTH = -8,
    BAD_CLOCK = -9,
    FOREIGN_HELLO = -10,
    UNKNOWN_KIND = -11,
    UNFINISHED = -12, /* a frame began and was not whole in time */
    HELD_IN_RESET = -13,
};

/* A transfer. Clocked by this side, `length` bytes cross both ways. Clocked by the controller, it gets `length`
 * bytes, and rx has `room` for what it sends, at least `length`. */
typedef struct {
    const uint8_t *tx;
    uint8_t *rx;
    size_t length;
    size_t room;
    size_t passed; /* of room: bytes that the controller has clocked */
} transfer_t;

typedef struct {
    int fd;
    int role;
    int8_t levels[PINS]; /* the controller's pins as received, this side's as driven */
    transfer_t transfer; /* clocked by this side: expected; by the controller: armed */
    size_t out_length; /* of out: held until something goes out */
    size_t in_start, in_end; /* of in: received and not handled */
    bool begun; /* a frame has begun, at begun_ms, and is not whole */
    int64_t begun_ms;
    uint8_t out[3 * PIN_FRAME + FRAME_HEADER + LONGEST_SHIFT];
    uint8_t in[4 * (FRAME_HEADER + LONGEST_SHIFT)];
} frames_t;

/* A connection has been made: a blocking socket, which waits at most patience_ms. */
void frames_connected(frames_t *frames, int fd, int patience_ms);

/* Nothing is under way, held or armed, and this side drives no pin. */
void frames_power_cycle(frames_t *frames);

/* The first frame to send. The text is cut at LONGEST_SHIFT bytes. */
int frames_hello(frames_t *frames, const uint8_t *text, size_t length);

/* Drive a pin, which is a frame when its level changes. Module-clocked, a fall of CS is held and goes out
 * with the CLOCK that follows; controller-clocked, one of DATA_READY with the rise; unless frames_send()
 * comes first. */
int frames_drive(frames_t *frames, int pin, int level);

/* Clock a transfer of 1 to LONGEST_SHIFT bytes. With `last`, CS rises as they have passed: it goes out in the
 * same segment. The SHIFT fills rx; until it has come, frames->transfer.length is not 0. */
int frames_clock(frames_t *frames, transfer_t transfer, bool last);

/* What the controller clocks next. */
void frames_arm(frames_t *frames, transfer_t transfer);

/* Send what is held. 0, POWER_OFF or NOT_TAKEN. */
int frames_send(frames_t *frames);

/* Take what has come, if anything has. 0 or POWER_OFF. */
int frames_receive(frames_t *frames);

/* As frames_receive(), after sleeping until something came; when that takes too long, UNFINISHED if a
 * frame has begun, else NOT_CLOCKED. */
int frames_await(frames_t *frames);

/* UNFINISHED when a frame began and was not whole in time, else 0. Has to be called now and then while
 * nothing comes; frames_next() calls it as well. */
int frames_overdue(frames_t *frames);

/* True while a whole frame is here that was not handled. */
bool frames_waiting(const frames_t *frames);

/* How long the CLOCK that frames_next() is about to answer takes at this rate, in ns. 0 when another frame
 * or none is next, and without a rate. */
int64_t frames_crossing_ns(const frames_t *frames, int64_t sck_hz);

/* Handle the next whole frame. */
int frames_next(frames_t *frames);

#endif
