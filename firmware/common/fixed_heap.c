/*
 * Python's heap keeps the size that it got at boot.
 *
 * With MICROPY_GC_SPLIT_HEAP_AUTO, which the ESP32 port sets, an allocation that does not fit makes Python's
 * heap take as much again from the system's, or the largest free block there, and never give it back. WiFi,
 * lwIP and TLS allocate from the rest, and a connection hangs when there is no memory for its
 * acknowledgements. So this function tells MicroPython that the system's heap has no free block, and an
 * allocation that does not fit raises MemoryError. gc.mem_free() adds this number, and thus counts Python's
 * heap alone.
 */
#include <stddef.h>

#include "py/gc.h"

size_t __wrap_gc_get_max_new_split(void);

size_t __wrap_gc_get_max_new_split(void) {
    return 0;
}
