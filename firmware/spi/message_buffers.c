#include "message_buffers.h"

#include <string.h>

#include "esp_err.h"
#include "esp_heap_caps.h"

/* Set once by message_buffers_take(). */
static uint8_t *tx;
static uint8_t *rx;
static size_t size_taken;

static uint8_t *take(size_t size) {
    uint8_t *buffer = heap_caps_malloc(size, MALLOC_CAP_DMA | MALLOC_CAP_INTERNAL);
    if (buffer != NULL) {
        memset(buffer, 0, size);
    }
    return buffer;
}

static int take_both(size_t size) {
    tx = take(size);
    rx = take(size);
    if (tx == NULL || rx == NULL) {
        heap_caps_free(tx);
        heap_caps_free(rx);
        tx = rx = NULL;
        return ESP_ERR_NO_MEM;
    }
    size_taken = size;
    return ESP_OK;
}

int message_buffers_take(size_t size) {
    if (size == 0 || size % 4 || (size_taken && size != size_taken)) {
        return ESP_ERR_INVALID_SIZE;
    }
    return size_taken ? ESP_OK : take_both(size);
}

uint8_t *message_tx(void) {
    return tx;
}

uint8_t *message_rx(void) {
    return rx;
}

size_t message_size(void) {
    return size_taken;
}

/* DMA writes whole words: an incomplete last word would be lost, or would overwrite what follows. The drivers
 * themselves refuse an offset that is not aligned. */
bool message_has_phase(int offset, int n) {
    return offset >= 0 && n > 0 && n % 4 == 0 &&
           (size_t)offset <= size_taken && (size_t)n <= size_taken - (size_t)offset;
}
