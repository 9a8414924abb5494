#ifndef SPI_PERIPH_H
#define SPI_PERIPH_H

#include <stdint.h>

#include "soc/soc_caps.h"

typedef struct {
    const uint8_t spics_in;
} spi_signal_conn_t;

extern const spi_signal_conn_t spi_periph_signal[SOC_SPI_PERIPH_NUM];

#endif
