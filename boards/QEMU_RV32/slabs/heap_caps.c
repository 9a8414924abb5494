#include "esp_heap_caps.h"

#define WHOLE 40960

_Alignas(4) static uint8_t memory[WHOLE];
static size_t used;

void *heap_caps_malloc(size_t size, uint32_t caps) {
    (void)caps;
    size = (size + 3) & ~(size_t)3;
    if (size > WHOLE - used) {
        return NULL;
    }
    used += size;
    return memory + used - size;
}
