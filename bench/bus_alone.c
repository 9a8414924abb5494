/*
 * What the virtual bus alone costs a module: its frames, and nothing else.
 *
 * The parent plays the module, module-clocked, with preset buffers: for each transaction CS falls
 * and 8 bytes are clocked, then the rest is clocked and CS rises, each in one write. Its child
 * answers, and raises TRANSFER_READY again in the write of the last SHIFT. No stack, no service, no
 * VM: no module over this bus can spend less. Prints the parent's CPU seconds, kernel's included.
 *
 * Usage: bus_alone TRANSACTIONS BYTES   (BYTES: those of each data phase)
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIN = 1, CLOCK, SHIFT };
enum { TRANSFER_READY, DATA_READY, CS };
enum { HEADER = 4, PIN_FRAME = 5, FIRST = 8, RESPONSE = 4, MOST = 2048 };

static uint8_t out[HEADER + MOST + 64];
static uint8_t in[HEADER + MOST + 64];

static void die(const char *what) {
    perror(what);
    _exit(1);
}

static size_t put_pin(size_t at, int pin, int level) {
    const uint8_t frame[PIN_FRAME] = {PIN, (uint8_t)pin, 1, 0, (uint8_t)level};
    memcpy(out + at, frame, PIN_FRAME);
    return at + PIN_FRAME;
}

static size_t put_bytes(size_t at, int kind, int n) {
    const uint8_t header[HEADER] = {(uint8_t)kind, 0, (uint8_t)n, (uint8_t)(n >> 8)};
    memcpy(out + at, header, HEADER);
    return at + HEADER + (size_t)n;
}

static void send_out(int bus, size_t length) {
    if (send(bus, out, length, MSG_NOSIGNAL) != (ssize_t)length) {
        die("bus_alone: send");
    }
}

/* A message of this bus is as long as both sides know it to be, in any pieces that TCP makes of it. */
static void take(int bus, size_t length) {
    for (size_t got = 0; got < length;) {
        ssize_t n = recv(bus, in + got, length - got, 0);
        if (n <= 0) {
            die("bus_alone: recv");
        }
        got += (size_t)n;
    }
}

static void controller(int bus, long transactions, int rest) {
    send_out(bus, put_pin(0, TRANSFER_READY, 1));
    while (transactions--) {
        take(bus, PIN_FRAME + HEADER + FIRST);
        send_out(bus, put_bytes(put_pin(0, TRANSFER_READY, 0), SHIFT, FIRST));
        take(bus, (size_t)(HEADER + rest + PIN_FRAME));
        send_out(bus, put_pin(put_bytes(0, SHIFT, rest), TRANSFER_READY, 1));
    }
}

static void module(int bus, long transactions, int rest) {
    take(bus, PIN_FRAME);
    while (transactions--) {
        send_out(bus, put_bytes(put_pin(0, CS, 0), CLOCK, FIRST));
        take(bus, PIN_FRAME + HEADER + FIRST);
        send_out(bus, put_pin(put_bytes(0, CLOCK, rest), CS, 1));
        take(bus, (size_t)(HEADER + rest + PIN_FRAME));
    }
}

/* Both ends of a TCP connection over the loopback, as the virtual bus is one. */
static void connect_both(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) ||
        listen(listener, 1) || getsockname(listener, (struct sockaddr *)&address, &size)) {
        die("bus_alone: listen");
    }
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (struct sockaddr *)&address, size)) {
        die("bus_alone: connect");
    }
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int i = 0; i < 2; i++) {
        if (setsockopt(ends[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)) {
            die("bus_alone: nodelay");
        }
    }
}

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv) {
    long transactions = argc == 3 ? atol(argv[1]) : 0;
    int data = argc == 3 ? atoi(argv[2]) : -1;
    int ends[2];
    struct rusage used;
    if (transactions < 1 || data < 0 || data > MOST) {
        fprintf(stderr, "usage: bus_alone TRANSACTIONS BYTES\n");
        return 2;
    }
    connect_both(ends);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        controller(ends[1], transactions, RESPONSE + data);
        _exit(0);
    }
    close(ends[1]);
    module(ends[0], transactions, RESPONSE + data);
    getrusage(RUSAGE_SELF, &used);
    waitpid(child, NULL, 0);
    printf("%.6f\n", seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
    return 0;
}
