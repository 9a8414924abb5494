/*
 * The module-clocked role's transfers: n bytes of both message buffers, over ESP-IDF's SPI master.
 *
 * Short ones are polled, because an interrupt and a change of task cost more than they take; long
 * ones sleep until the interrupt. Neither allocates. CS is no business of this file.
 *
 * All functions belong to one thread, the one that serves the link. Errors are ESP-IDF's esp_err_t.
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

/* SPI mode 1, MSB first. Running already: stopped first. On an error nothing is left running. */
int exchange_start(const exchange_config_t *config);

/* Idempotent. The message buffers stay. */
void exchange_stop(void);

/* Returns when n bytes from `offset` on have passed. ESP_ERR_INVALID_ARG when that is no phase. */
int exchange_run(int offset, int n);

/* Between two transfers. When the driver refuses the frequency, the last one stays. */
int exchange_set_clock(int frequency);

#endif
