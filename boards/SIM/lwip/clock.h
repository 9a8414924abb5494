/* The stack's clock, its time warp, and its seeded random numbers. */
#ifndef SPINET_LWIP_CLOCK_H
#define SPINET_LWIP_CLOCK_H

#include <stdint.h>
#include <time.h>

/* From now on one real second is `factor` seconds for the stack: sys_now() and every wait of the
 * port follow. The stack's clock never jumps and never runs backwards. Peers outside stay in
 * real time: use it for silent peers and timers. */
void clock_warp(uint32_t factor);

/* Stack milliseconds; wraps as sys_now() does. */
uint32_t clock_now_ms(void);

/* The real (monotonic) moment that lies `ms` stack milliseconds from now. */
struct timespec clock_deadline(uint32_t ms);

void clock_seed(uint32_t seed);

#endif
