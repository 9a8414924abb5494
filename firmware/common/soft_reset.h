/* Stops what runs in C before a soft reset takes Python's heap away. */
#ifndef SOFT_RESET_H
#define SOFT_RESET_H

#include "stops.h"

/* Lists a function for the next soft reset alone: call this at every start of what the function stops. The
 * first call since a soft reset allocates on Python's heap. Nothing is listed when it raises MemoryError. */
void at_soft_reset(stop_t *stop);

#endif
