/* What mbedTLS needs of the machine. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mbedtls/entropy.h"

#define HEAP 196608 /* of C: both ends of a connection fit */

/* Where malloc() has its memory from. */
void *sbrk(ptrdiff_t increment);
void *sbrk(ptrdiff_t increment) {
    _Alignas(16) static uint8_t heap[HEAP];
    static size_t used;
    if (increment > (ptrdiff_t)(HEAP - used)) {
        return (void *)-1;
    }
    used += increment;
    return heap + used - increment;
}

/* The same numbers in each run, as nothing here is secret. */
int mbedtls_hardware_poll(void *unused, unsigned char *into, size_t size, size_t *given) {
    static uint32_t state = 1;
    (void)unused;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        into[i] = state >> 24;
    }
    *given = size;
    return 0;
}
