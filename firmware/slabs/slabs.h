/*
 * Large pieces of memory for Python's bytes, where no garbage collection looks at them.
 *
 * Each kind is there once. Its memory is taken from the chip's heap at the first use and never given
 * back to that, so that a reset of the link or of Python finds it again however full the heap is then.
 * Whoever comes while a kind is in use gets nothing. All functions belong to one thread at a time.
 */
#ifndef SLABS_H
#define SLABS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_KINDS 2 /* as many as modules/spinet/compat.py has names for */

/* `size` zeroed bytes, aligned to words. NULL: in use, no such kind, nothing or another size than at
 * the first use wanted, or no memory. */
uint8_t *slab_take(int kind, size_t size);

/* Whoever took it needs it no more. False, and nothing happens, when it is no slab in use. */
bool slab_give_back(const void *memory);

/* Python is over: nobody uses any of them. */
void slabs_forget(void);

/* Bytes taken from the chip's heap so far. */
size_t slabs_taken(void);

#endif
