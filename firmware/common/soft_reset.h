/*
 * A soft reset takes Python's heap from whoever still runs in C; this stops them before.
 */
#ifndef SOFT_RESET_H
#define SOFT_RESET_H

#include "stops.h"

/* Has a function run at the next soft reset, and at no later one unless this is called again: whoever
 * starts something calls it each time. The first call since a soft reset takes memory of Python's,
 * and raises MemoryError where there is none; nothing is listed then. */
void at_soft_reset(stop_t *stop);

#endif
