/*
 * Large pieces of memory for Python's bytes, outside Python's heap, so that a garbage collection does not
 * read through them.
 *
 * There is one slab of each kind. Its memory is taken from the chip's heap at the first use and is never
 * given back, so that after a reset of the link or of Python it is there again, however full the heap is.
 * Only one thread may use these functions at a time.
 */
#ifndef SLABS_H
#define SLABS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_KINDS 2 /* modules/spinet/compat.py has their names */

/* `size` zeroed bytes, aligned to words. NULL: the slab is in use, there is no such kind or no memory, or the
 * size is 0 or another than at the first use. */
uint8_t *slab_take(int kind, size_t size);

/* The slab may be taken again. False, and nothing happens, when this is no slab in use. */
bool slab_give_back(const void *memory);

/* Python has ended: no slab is in use. */
void slabs_forget(void);

/* Bytes taken from the chip's heap so far. */
size_t slabs_taken(void);

#endif
