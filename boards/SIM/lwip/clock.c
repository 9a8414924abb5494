/*
 * The stack's clock.
 *
 * Real time is CLOCK_MONOTONIC. A warp is a change of slope: stack time = base + (real - since) *
 * factor. `since`, `base` and `factor` change together under one mutex.
 */
#include "clock.h"

#include <pthread.h>

#include "arch/cc.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull

static pthread_mutex_t warp_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t since_ns; /* real moment of the last change of slope; 0 = the clock's zero */
static uint64_t base_ns;  /* stack time at that moment */
static uint32_t slope = 1;
static uint32_t random_state = 0x5eed;

static uint64_t real_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Called with warp_mutex held. */
static uint64_t stack_ns(uint64_t real) {
    return base_ns + (real - since_ns) * slope;
}

void clock_warp(uint32_t factor) {
    pthread_mutex_lock(&warp_mutex);
    uint64_t real = real_ns();
    base_ns = stack_ns(real);
    since_ns = real;
    slope = factor ? factor : 1;
    pthread_mutex_unlock(&warp_mutex);
}

uint32_t clock_now_ms(void) {
    pthread_mutex_lock(&warp_mutex);
    uint64_t now = stack_ns(real_ns());
    pthread_mutex_unlock(&warp_mutex);
    return (uint32_t)(now / NS_PER_MS);
}

struct timespec clock_deadline(uint32_t ms) {
    pthread_mutex_lock(&warp_mutex);
    uint64_t at = real_ns() + ms * NS_PER_MS / slope;
    pthread_mutex_unlock(&warp_mutex);
    return (struct timespec){.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
}

void clock_seed(uint32_t seed) {
    random_state = seed ? seed : 1;
}

/* xorshift32; only the TCP/IP thread or the core lock's holder draws. */
uint32_t port_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}
