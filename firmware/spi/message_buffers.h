/*
 * The two buffers of the link's messages, in memory that DMA reaches and soft resets leave alone.
 *
 * Both roles use the same pair. It is taken once and never given back: Python keeps references to
 * it, and a DMA that runs into it may outlive whoever armed it.
 */
#ifndef MESSAGE_BUFFERS_H
#define MESSAGE_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes them at the first call, zeroed; later calls only compare. ESP_OK; ESP_ERR_NO_MEM;
 * ESP_ERR_INVALID_SIZE when the size is not whole dwords or differs from the first call's. */
int message_buffers_take(size_t size);

/* What leaves and what comes; NULL until they are taken. */
uint8_t *message_tx(void);
uint8_t *message_rx(void);
size_t message_size(void);

/* True when n bytes at `offset` are whole dwords, at least one, inside the buffers. */
bool message_has_phase(int offset, int n);

#endif
