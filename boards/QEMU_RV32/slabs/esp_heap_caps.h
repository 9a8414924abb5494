/* What firmware/slabs needs of ESP-IDF's heap: memory that is never given back. */
#ifndef ESP_HEAP_CAPS_H
#define ESP_HEAP_CAPS_H

#include <stddef.h>
#include <stdint.h>

/* Bits as ESP-IDF has them; all memory here is of both kinds. */
#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_INTERNAL (1 << 11)

void *heap_caps_malloc(size_t size, uint32_t caps);

#endif
