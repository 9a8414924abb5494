/*
 * lwIP's heap on this computer.
 *
 * ESP-IDF has no memory pools: everything comes from the heap, and its lwIP limits the number of PCBs in
 * memp_malloc. A wrapper of memp_malloc does the same here, and counts the structures of each type, so that a
 * test can compare with its base line.
 */
#include "heap.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "lwip/memp.h"
#include "platform.h"

#define HEADER 8 /* of a block in a chip's heap */

static atomic_int blocks;
static atomic_int most_blocks = -1;
static atomic_int bytes;
static atomic_int most_bytes; /* 0: no limit */
static atomic_int in_use[MEMP_MAX];
static atomic_int most_pcbs = MEMP_NUM_TCP_PCB;
static _Thread_local int arms_timer; /* set and cleared in __wrap_memp_malloc */

void *__real_memp_malloc(memp_t type);
void __real_memp_free(memp_t type, void *block);
void *__wrap_memp_malloc(memp_t type);
void __wrap_memp_free(memp_t type, void *block);

/* A timer that cannot be set again ends lwIP: a heap that a test calls full still has room for it. */
static int refused(size_t size) {
    return !arms_timer && ((most_blocks >= 0 && blocks >= most_blocks) ||
                           (most_bytes > 0 && size + HEADER > platform_memory_free()));
}

static int taken_by(void *block) {
    return block == NULL ? 0 : HEADER + (int)malloc_usable_size(block);
}

static void *counted(void *block) {
    blocks += block != NULL;
    bytes += taken_by(block);
    return block;
}

void *heap_malloc(size_t size) {
    return counted(refused(size) ? NULL : malloc(size));
}

void *heap_calloc(size_t count, size_t size) {
    return counted(refused(count * size) ? NULL : calloc(count, size));
}

void heap_free(void *block) {
    blocks -= block != NULL;
    bytes -= taken_by(block);
    free(block);
}

size_t platform_memory_free(void) {
    int left = most_bytes - bytes;
    return most_bytes == 0 ? SIZE_MAX : (size_t)(left < 0 ? 0 : left);
}

int heap_bytes(void) {
    return bytes;
}

void heap_limit_bytes(int most) {
    most_bytes = most;
}

void *__wrap_memp_malloc(memp_t type) {
    if (type == MEMP_TCP_PCB && in_use[type] >= most_pcbs) {
        return NULL;
    }
    arms_timer = type == MEMP_SYS_TIMEOUT;
    void *block = __real_memp_malloc(type);
    arms_timer = 0;
    in_use[type] += block != NULL;
    return block;
}

void __wrap_memp_free(memp_t type, void *block) {
    in_use[type] -= block != NULL;
    __real_memp_free(type, block);
}

int heap_blocks(void) {
    return blocks;
}

int heap_in_use(int type) {
    return in_use[type];
}

void heap_limit_pcbs(int most) {
    most_pcbs = most;
}

void heap_limit_blocks(int most) {
    most_blocks = most;
}
