/*
 * What goes wrong between the stack and the wire, on purpose and repeatably.
 *
 * Every frame, both ways, passes faults_judge() in the netif. Chances are in per mille. The same
 * seed and the same sequence of frames give the same faults.
 */
#ifndef SPINET_LWIP_FAULTS_H
#define SPINET_LWIP_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_way { FAULT_OUT, FAULT_IN };

typedef struct {
    uint16_t drop;      /* per mille: lost */
    uint16_t duplicate; /* per mille: delivered twice */
    uint16_t reorder;   /* per mille: held for reorder_ms, so that later frames overtake it */
    uint16_t corrupt;   /* per mille: one bit flipped behind the Ethernet and IP headers */
    uint16_t delay_ms;  /* every frame is held this long */
    uint16_t reorder_ms;
} faults_t;

/* How one frame fares. */
typedef struct {
    int copies;       /* 0 dropped, 1, or 2 duplicated */
    uint16_t hold_ms; /* before the first copy is delivered */
} verdict_t;

void faults_set(const faults_t *faults, uint32_t seed);

/* Every frame to or from this IPv4 address (four octets in memory order) is lost until the
 * address is set alive again: the peer died without a word. */
void faults_peer_dead(uint32_t ip, bool dead);

/* The link is down: every frame is lost. */
void faults_link_down(bool down);

/* Frames lost by the three above, since start. */
uint32_t faults_lost(void);

/* Judges a frame and, where it is to be corrupted, changes it in place. Any thread. */
verdict_t faults_judge(enum fault_way way, uint8_t *frame, size_t length);

#endif
