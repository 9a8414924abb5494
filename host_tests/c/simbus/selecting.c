/*
 * A module in NINA's role for a test that plays the controller: the thread of selected.c, and in the place
 * of Python a service that does only what it is told, a line at a time. In between it stands still.
 *
 *     selecting PATIENCE_MS SCK_HZ
 * Each line that comes in is a word and a number; one number goes out for it.
 *     start PORT      connect to 127.0.0.1:PORT; what selected_start() gives
 *     stop, cycle, disarm, settle, gpio0 LEVEL
 *     arm N           N bytes, counted up from 1, and 4096 bytes of room
 *     rearm N         the same with N bytes of 0xee
 *     received        what selected_received() gives
 *     byte I          what came in at this place
 *     wait            once the bell rings, what selected_take() gives
 *     out             1 when it is out of reset
 *     echo N          serve N transfers, which return what the one before brought; 0 or a code
 */

#include "selected.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static selected_t target;
static uint8_t tx[LONGEST_SHIFT], again[LONGEST_SHIFT], rx[LONGEST_SHIFT];
static int patience_ms, connection = -1;

static int start(int port) {
    struct sockaddr_in controller = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    controller.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&controller, sizeof(controller)) != 0) {
        exit(2);
    }
    return selected_start(&target, connection, patience_ms, (const uint8_t *)"v", 1);
}

static int stop(void) {
    selected_stop(&target);
    return close(connection);
}

static int arm(const uint8_t *bytes, int n) {
    memset(rx, 0, sizeof(rx));
    transfer_t transfer = { .tx = bytes, .rx = rx, .length = (size_t)n, .room = sizeof(rx) };
    return selected_arm(&target, transfer);
}

static int wait_for_bell(void) {
    struct pollfd bell = { .fd = target.bell, .events = POLLIN };
    while (poll(&bell, 1, -1) != 1) {
    }
    return selected_take(&target);
}

static int echo(int n) {
    int code = 0;
    transfer_t transfer = { .tx = again, .rx = rx, .length = 0, .room = sizeof(rx) };
    while (n-- && code == 0) {
        code = selected_arm(&target, transfer);
        while (code == 0 && selected_received(&target) < 0) {
            selected_gpio0(&target, n & 1);
            code = wait_for_bell();
        }
        transfer.length = code == 0 ? (size_t)selected_received(&target) : 0;
        memcpy(again, rx, transfer.length);
    }
    return code;
}

static int obey(const char *word, int number) {
    if (strcmp(word, "start") == 0) {
        return start(number);
    } else if (strcmp(word, "stop") == 0) {
        return stop();
    } else if (strcmp(word, "cycle") == 0) {
        return selected_power_cycle(&target);
    } else if (strcmp(word, "arm") == 0) {
        return arm(tx, number);
    } else if (strcmp(word, "rearm") == 0) {
        return arm(again, number);
    } else if (strcmp(word, "disarm") == 0) {
        selected_disarm(&target);
        return 0;
    } else if (strcmp(word, "settle") == 0) {
        selected_settle(&target);
        return 0;
    } else if (strcmp(word, "gpio0") == 0) {
        return selected_gpio0(&target, number);
    } else if (strcmp(word, "received") == 0) {
        return selected_received(&target);
    } else if (strcmp(word, "byte") == 0) {
        return rx[number];
    } else if (strcmp(word, "wait") == 0) {
        return wait_for_bell();
    } else if (strcmp(word, "out") == 0) {
        return selected_out_of_reset(&target);
    } else if (strcmp(word, "echo") == 0) {
        return echo(number);
    }
    exit(2);
}

int main(int argc, char **argv) {
    char word[16];
    int number;
    if (argc != 3) {
        return 2;
    }
    patience_ms = atoi(argv[1]);
    for (int i = 0; i < LONGEST_SHIFT; i++) {
        tx[i] = (uint8_t)(i + 1);
    }
    memset(again, 0xee, sizeof(again));
    selected_init(&target, atoi(argv[2]));
    while (scanf("%15s %d", word, &number) == 2) {
        printf("%d\n", obey(word, number));
        fflush(stdout);
    }
    selected_stop(&target);
    return 0;
}
