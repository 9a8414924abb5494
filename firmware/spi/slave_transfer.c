#include "slave_transfer.h"

#include "esp_attr.h"
#include "esp_err.h"
#include "esp_private/spi_slave_internal.h"
#include "esp_rom_gpio.h"
#include "message_buffers.h"
#include "soc/gpio_pins.h"
#include "soc/spi_periph.h"

/* ---- interrupts ---- */

void IRAM_ATTR slave_select_by(const slave_t *slave, int source) {
    esp_rom_gpio_connect_in_signal(
        (uint32_t)source, spi_periph_signal[slave->wiring.host].spics_in, false);
}

void IRAM_ATTR slave_deselect(const slave_t *slave) {
    slave_select_by(slave, GPIO_MATRIX_CONST_ONE_INPUT);
}

void IRAM_ATTR slave_rearm(slave_t *slave) {
    spi_slave_queue_trans_isr((spi_host_device_t)slave->wiring.host, &slave->transaction);
}

void IRAM_ATTR slave_end(slave_t *slave, int bytes) {
    atomic_store(&slave->passed, bytes);
    slave->wiring.wake();
}

/* ---- start and stop ---- */

static int start_driver(const slave_wiring_t *wiring, const slave_kind_t *kind) {
    spi_bus_config_t bus = {
        .mosi_io_num = wiring->mosi,
        .miso_io_num = wiring->miso,
        .sclk_io_num = wiring->sck,
        .quadwp_io_num = -1,
        .quadhd_io_num = -1,
        .max_transfer_sz = (int)wiring->size,
        .flags = kind->through_matrix ? SPICOMMON_BUSFLAG_GPIO_PINS : 0,
    };
    spi_slave_interface_config_t driver = {
        .spics_io_num = wiring->cs,
        .flags = SPI_SLAVE_NO_RETURN_RESULT,
        .queue_size = 1,
        .mode = (uint8_t)kind->mode,
        .post_setup_cb = kind->on_ready,
        .post_trans_cb = kind->on_done,
    };
    return spi_slave_initialize((spi_host_device_t)wiring->host, &bus, &driver, SPI_DMA_CH_AUTO);
}

int slave_start(slave_t *slave, const slave_wiring_t *wiring, const slave_kind_t *kind) {
    slave->wiring = *wiring;
    atomic_store(&slave->passed, 0);
    int error = message_buffers_take(wiring->size);
    if (!error) {
        error = start_driver(wiring, kind);
    }
    slave->running = error == ESP_OK;
    slave_disarm(slave);
    return error;
}

void slave_stop(slave_t *slave) {
    if (slave->running) {
        slave_disarm(slave);
        spi_slave_free((spi_host_device_t)slave->wiring.host);
        slave->running = false;
    }
}

/* ---- transfers ---- */

int slave_arm(slave_t *slave, int offset, int n) {
    slave->transaction = (spi_slave_transaction_t){
        .length = (size_t)n * 8,
        .tx_buffer = message_tx() + offset,
        .rx_buffer = message_rx() + offset,
    };
    atomic_store(&slave->passed, SLAVE_UNDER_WAY);
    int error = spi_slave_queue_trans((spi_host_device_t)slave->wiring.host, &slave->transaction, 0);
    if (error) {
        slave_disarm(slave);
    }
    return error;
}

/* The driver has no cancel. Resetting its queue makes it forget the transfer, but leaves peripheral and DMA
 * armed until the next one. So the chip-select goes high, and nothing can be clocked. It does so after the
 * reset, which masks the interrupt that a rising chip-select raises. */
void slave_disarm(slave_t *slave) {
    if (slave->running) {
        spi_slave_queue_reset((spi_host_device_t)slave->wiring.host);
        slave_deselect(slave);
        atomic_store(&slave->passed, 0);
    }
}
