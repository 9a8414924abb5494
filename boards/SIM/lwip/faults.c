/*
 * Seeded faults for frames. Knows Ethernet and IPv4 headers well enough to find the peer's
 * address; holds no frames itself: tap_netif.c keeps those that are delayed.
 */
#include "faults.h"

#include <pthread.h>
#include <string.h>

#define ETHERNET_HEADER 14
#define IPV4_SOURCE 26
#define IPV4_DESTINATION 30
#define IPV4_END 34
#define DEAD_PEERS 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static faults_t current;
static uint32_t state = 1;
static uint32_t dead_peers[DEAD_PEERS]; /* 0 = unused */
static bool link_is_down;
static uint32_t lost;

void faults_set(const faults_t *faults, uint32_t seed) {
    pthread_mutex_lock(&mutex);
    current = *faults;
    state = seed ? seed : 1;
    pthread_mutex_unlock(&mutex);
}

static uint32_t *dead_entry(uint32_t ip) {
    for (int i = 0; i < DEAD_PEERS; i++) {
        if (dead_peers[i] == ip) {
            return &dead_peers[i];
        }
    }
    return NULL;
}

void faults_peer_dead(uint32_t ip, bool dead) {
    pthread_mutex_lock(&mutex);
    uint32_t *entry = dead_entry(ip);
    if (!dead && entry != NULL) {
        *entry = 0;
    } else if (dead && entry == NULL && (entry = dead_entry(0)) != NULL) {
        *entry = ip;
    }
    pthread_mutex_unlock(&mutex);
}

void faults_link_down(bool down) {
    pthread_mutex_lock(&mutex);
    link_is_down = down;
    pthread_mutex_unlock(&mutex);
}

uint32_t faults_lost(void) {
    pthread_mutex_lock(&mutex);
    uint32_t frames = lost;
    pthread_mutex_unlock(&mutex);
    return frames;
}

static bool is_ipv4(const uint8_t *frame, size_t length) {
    return length >= IPV4_END && frame[12] == 0x08 && frame[13] == 0x00;
}

static bool from_the_dead(enum fault_way way, const uint8_t *frame, size_t length) {
    uint32_t peer;
    if (!is_ipv4(frame, length)) {
        return false;
    }
    memcpy(&peer, frame + (way == FAULT_IN ? IPV4_SOURCE : IPV4_DESTINATION), sizeof(peer));
    return peer != 0 && dead_entry(peer) != NULL;
}

/* True in `per_mille` of a thousand cases. Draws even when the chance is 0, so that switching one
 * fault on does not shift the others' sequence. */
static bool chance(uint16_t per_mille) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % 1000 < per_mille;
}

static void corrupt(uint8_t *frame, size_t length) {
    if (is_ipv4(frame, length) && length > IPV4_END) {
        frame[IPV4_END + state % (length - IPV4_END)] ^= 1u << (state >> 29);
    }
}

static verdict_t draw(uint8_t *frame, size_t length) {
    bool dropped = chance(current.drop);
    bool twice = chance(current.duplicate);
    bool late = chance(current.reorder);
    if (chance(current.corrupt)) {
        corrupt(frame, length);
    }
    lost += dropped;
    return (verdict_t){
        .copies = dropped ? 0 : (twice ? 2 : 1),
        .hold_ms = (uint16_t)(current.delay_ms + (late ? current.reorder_ms : 0)),
    };
}

verdict_t faults_judge(enum fault_way way, uint8_t *frame, size_t length) {
    verdict_t verdict = {0, 0};
    pthread_mutex_lock(&mutex);
    if (link_is_down || from_the_dead(way, frame, length)) {
        lost++;
    } else {
        verdict = draw(frame, length);
    }
    pthread_mutex_unlock(&mutex);
    return verdict;
}
