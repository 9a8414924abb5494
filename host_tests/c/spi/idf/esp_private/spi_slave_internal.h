#ifndef SPI_SLAVE_INTERNAL_H
#define SPI_SLAVE_INTERNAL_H

#include "driver/spi_slave.h"

esp_err_t spi_slave_queue_reset(spi_host_device_t host);
esp_err_t spi_slave_queue_trans_isr(spi_host_device_t host, const spi_slave_transaction_t *trans_desc);

#endif
