/*
 * The two buffers of the link's messages, in memory that DMA reaches and that a soft reset leaves alone.
 *
 * Both roles use the same pair. It is taken once and never given back: Python may keep references to it, and
 * DMA may still run into it when the role that armed it has stopped.
 */
#ifndef MESSAGE_BUFFERS_H
#define MESSAGE_BUFFERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first call allocates them, zeroed; later calls compare the size. ESP_OK, ESP_ERR_NO_MEM, or
 * ESP_ERR_INVALID_SIZE when the size is not whole dwords or not that of the first call. */
int message_buffers_take(size_t size);

/* What is sent and what is received; NULL until they are taken. */
uint8_t *message_tx(void);
uint8_t *message_rx(void);
size_t message_size(void);

/* True when n bytes at `offset` are whole dwords, at least one, inside the buffers. */
bool message_has_phase(int offset, int n);

#endif
