/*
 * The module-clocked role's transfers: n bytes of both message buffers, over ESP-IDF's SPI master driver.
 *
 * A short transfer is polled, as an interrupt and a change of task would take longer than the transfer. A
 * long one sleeps until the interrupt. Neither allocates. CS is Python's.
 *
 * All functions belong to one thread, which serves the link. Errors are ESP-IDF's esp_err_t.
 */
#ifndef SPI_EXCHANGE_H
#define SPI_EXCHANGE_H

#include <stddef.h>

/* Up to this many bytes a transfer is polled: 64 take 19 us at 26.67 MHz. */
#define EXCHANGE_POLLED_MAX 64

typedef struct {
    int host; /* ESP-IDF's number of the SPI: 1 is SPI2, 2 is SPI3 */
    int sck;
    int mosi;
    int miso;
    int frequency; /* of SCK, in Hz */
    size_t size;   /* of each message buffer */
} exchange_config_t;

/* SPI mode 1, MSB first. What runs already is stopped first. After an error nothing runs. */
int exchange_start(const exchange_config_t *config);

/* Idempotent. The message buffers stay. */
void exchange_stop(void);

/* Returns when n bytes from `offset` on were transferred. ESP_ERR_INVALID_ARG: see message_has_phase(). */
int exchange_run(int offset, int n);

/* Between two transfers only. When the driver refuses the frequency, the old one stays. */
int exchange_set_clock(int frequency);

#endif
