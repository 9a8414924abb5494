/*
 * Python's heap keeps the size that it got at boot.
 *
 * With MICROPY_GC_SPLIT_HEAP_AUTO, which the ESP32 port sets, an allocation that does not fit takes as much
 * again from the system's heap, or the largest free block there, and never gives it back. WiFi, lwIP and TLS
 * allocate from what is left, and a connection hangs when there is no memory for its acknowledgements. So
 * MicroPython is told here that the system's heap has nothing to give, and an allocation that does not fit
 * raises MemoryError. gc.mem_free() adds this number, and thus counts Python's heap alone.
 */
#include <stddef.h>

#include "py/gc.h"

size_t __wrap_gc_get_max_new_split(void);

size_t __wrap_gc_get_max_new_split(void) {
    return 0;
}
