/*
 * Python's heap stays as large as it was made at boot.
 *
 * Where MICROPY_GC_SPLIT_HEAP_AUTO is set, as the ESP32 port does, an allocation that does not fit takes
 * as much again from the system's heap, or the largest block that is free there, and never gives it back.
 * WiFi, lwIP and TLS live on the rest, and a connection whose acknowledgements find no memory hangs. So
 * MicroPython is told that there is nothing to be had; what does not fit is a MemoryError for the code that
 * asked. gc.mem_free(), which adds this number, then tells of Python's heap alone.
 */
#include <stddef.h>

#include "py/gc.h"

size_t __wrap_gc_get_max_new_split(void);

size_t __wrap_gc_get_max_new_split(void) {
    return 0;
}
