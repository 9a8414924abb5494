/*
 * What the module needs from the operating system beyond lwIP: one binary wake-up, and lwIP running.
 *
 * A wake-up that is given while nobody sleeps is kept, once; several are one. The core looks at its
 * own flags after every sleep, so a wake-up too many does no harm and none is ever relied on alone.
 */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Idempotent; the only place that may allocate. */
void platform_start(void);

/* Sleeps until woken or for `ms` milliseconds of the stack's clock. */
void platform_sleep(uint32_t ms);

void platform_wake(void);
void platform_wake_from_isr(void);

/* Bytes free of the heap that lwIP and the network's driver live on. */
size_t platform_memory_free(void);

/* Called by the binding before the core's first use: makes sure that lwIP runs. 0 or a positive errno.
 * On the chips network.WLAN has started it; SIM starts it here. */
int platform_stack_ready(void);

#endif
