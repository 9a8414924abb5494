/*
 * The platform's functions for the core, besides lwIP: the wake-up, the free memory, starting lwIP.
 *
 * A wake-up that comes while nothing sleeps is kept for the next sleep; several count as one. The core looks
 * at its own flags after every sleep, so an unneeded wake-up does no harm.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Idempotent. The only function here that may allocate. */
void platform_start(void);

/* Sleeps until woken or for `ms` milliseconds of the stack's clock. */
void platform_sleep(uint32_t ms);

void platform_wake(void);
void platform_wake_from_isr(void);

/* Bytes free in the heap that lwIP and the network's driver allocate from. */
size_t platform_memory_free(void);

/* Makes sure that lwIP runs; the binding calls it before nc_start(). 0 or a positive errno. On the chips
 * network.WLAN may have started lwIP already. */
int platform_stack_ready(void);

#endif
