#ifndef SPI_SLAVE_H
#define SPI_SLAVE_H

#include <stddef.h>

#include "driver/spi_common.h"
#include "freertos/FreeRTOS.h"

#define SPI_SLAVE_NO_RETURN_RESULT (1 << 2)

typedef struct spi_slave_transaction_t {
    uint32_t flags;
    size_t length;
    size_t trans_len;
    const void *tx_buffer;
    void *rx_buffer;
    void *user;
} spi_slave_transaction_t;

typedef void (*slave_transaction_cb_t)(spi_slave_transaction_t *trans);

typedef struct {
    int spics_io_num;
    uint32_t flags;
    int queue_size;
    uint8_t mode;
    slave_transaction_cb_t post_setup_cb;
    slave_transaction_cb_t post_trans_cb;
} spi_slave_interface_config_t;

esp_err_t spi_slave_initialize(spi_host_device_t host, const spi_bus_config_t *bus_config,
                               const spi_slave_interface_config_t *slave_config, spi_dma_chan_t dma_chan);
esp_err_t spi_slave_free(spi_host_device_t host);
esp_err_t spi_slave_queue_trans(spi_host_device_t host, const spi_slave_transaction_t *trans_desc,
                                TickType_t ticks_to_wait);

#endif
