#include "slabs.h"

#include <string.h>

#include "esp_heap_caps.h"

/* Without MALLOC_CAP_8BIT an ESP32 may give memory that can be accessed by whole words only. */
#define BYTES (MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT)

typedef struct {
    uint8_t *memory; /* set at the first use, never cleared */
    size_t size;
    bool in_use;     /* set by slab_take(), cleared by slab_give_back() and slabs_forget() */
} slab_t;

static slab_t slabs[SLAB_KINDS];

static bool is_there(slab_t *slab, size_t size) {
    if (slab->memory == NULL) {
        slab->memory = heap_caps_malloc(size, BYTES);
        slab->size = slab->memory ? size : 0;
    }
    return slab->memory != NULL && slab->size == size;
}

uint8_t *slab_take(int kind, size_t size) {
    if (kind < 0 || kind >= SLAB_KINDS || size == 0) {
        return NULL;
    }
    slab_t *slab = &slabs[kind];
    if (slab->in_use || !is_there(slab, size)) {
        return NULL;
    }
    slab->in_use = true;
    memset(slab->memory, 0, size);
    return slab->memory;
}

bool slab_give_back(const void *memory) {
    for (int i = 0; i < SLAB_KINDS; i++) {
        if (slabs[i].in_use && slabs[i].memory == memory) {
            slabs[i].in_use = false;
            return true;
        }
    }
    return false;
}

void slabs_forget(void) {
    for (int i = 0; i < SLAB_KINDS; i++) {
        slabs[i].in_use = false;
    }
}

size_t slabs_taken(void) {
    size_t sum = 0;
    for (int i = 0; i < SLAB_KINDS; i++) {
        sum += slabs[i].size;
    }
    return sum;
}
