/*
 * Plays the module's side of the virtual bus over a socket pair, for a test that says what the
 * controller sends and in which pieces.
 *
 *     player ROLE LENGTH PATIENCE_MS <pieces
 * Each piece is a length, u16, and its bytes; one without any is a pause for longer than PATIENCE_MS.
 * LENGTH bytes are clocked or armed, all 0x5a; in NINA's role 4096 may come in. Out go a line for each frame that was handled, and at
 * the end what was clocked in and what we sent.
 */

#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static frames_t frames;
static uint8_t tx[LONGEST_SHIFT], rx[LONGEST_SHIFT];
static int ends[2];

static void print_bytes(const char *name, const uint8_t *bytes, size_t n) {
    printf("%s ", name);
    for (size_t i = 0; i < n; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

static void print_sent(void) {
    static uint8_t sent[1 << 20];
    size_t n = 0;
    ssize_t got;
    while ((got = recv(ends[1], sent + n, sizeof(sent) - n, MSG_DONTWAIT)) > 0) {
        n += (size_t)got;
    }
    print_bytes("sent", sent, n);
}

static void finish(size_t length) {
    print_bytes("rx", rx, frames.role == NINA ? sizeof(rx) : length);
    print_sent();
    exit(0);
}

static void stop_at_error(int code, size_t length) {
    if (code < 0) {
        printf("%d\n", code);
        finish(length);
    }
}

static bool waits(void) {
    int count = 0;
    return ioctl(ends[0], FIONREAD, &count) == 0 && count > 0;
}

static void handle_all(size_t length) {
    int what;
    while ((what = frames_next(&frames)) != NO_FRAME) {
        stop_at_error(what, length);
        printf("%d\n", what);
        if (what == CLOCKED) {
            stop_at_error(frames_send(&frames), length);
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 4 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return 2;
    }
    size_t length = (size_t)atoi(argv[2]);
    int patience_ms = atoi(argv[3]);
    memset(tx, 0x5a, sizeof(tx));
    frames.role = atoi(argv[1]);
    frames_connected(&frames, ends[0], patience_ms);
    frames_power_cycle(&frames);
    transfer_t transfer = { .tx = tx, .rx = rx, .length = length, .room = length };
    if (frames.role == NINA) {
        transfer.room = sizeof(rx);
    }
    if (frames.role != MODULE_CLOCKED) {
        frames_arm(&frames, transfer);
    } else if (length) {
        frames_clock(&frames, transfer, true);
    }
    uint8_t size[2], piece[1 << 16];
    while (fread(size, 1, 2, stdin) == 2) {
        size_t n = (size_t)(size[0] | size[1] << 8);
        if (fread(piece, 1, n, stdin) != n || write(ends[1], piece, n) != (ssize_t)n) {
            return 2;
        }
        if (n == 0) {
            usleep((useconds_t)patience_ms * 1000 + 1000);
            handle_all(length);
        }
        while (waits()) {
            stop_at_error(frames_receive(&frames), length);
            handle_all(length);
        }
    }
    finish(length);
}
