#include "spi_exchange.h"

#include <stdbool.h>

#include "driver/spi_master.h"
#include "esp_err.h"
#include "message_buffers.h"

/* How long exchange_stop() waits for a transfer: 4 KiB at 1 MHz take 33 ms. */
#define LAST_TRANSFER_MS 100

static spi_host_device_t host;     /* set by exchange_start() */
static bool bus_is_up;             /* the driver has the host's pins and DMA */
static spi_device_handle_t device; /* NULL: not running */
static int frequency_now;          /* of the device */
static spi_transaction_t transfer; /* the driver reads it while the transfer is under way */
static volatile bool under_way;    /* stays set when the thread is ended during a transfer */

static int add_device(int frequency) {
    spi_device_interface_config_t config = {
        .mode = 1,
        .clock_speed_hz = frequency,
        .spics_io_num = -1,
        .queue_size = 1,
    };
    int error = spi_bus_add_device(host, &config, &device);
    if (error) {
        device = NULL;
    } else {
        frequency_now = frequency;
    }
    return error;
}

static int bring_up_bus(const exchange_config_t *config) {
    spi_bus_config_t bus = {
        .mosi_io_num = config->mosi,
        .miso_io_num = config->miso,
        .sclk_io_num = config->sck,
        .quadwp_io_num = -1,
        .quadhd_io_num = -1,
        .max_transfer_sz = (int)config->size,
    };
    host = (spi_host_device_t)config->host;
    int error = spi_bus_initialize(host, &bus, SPI_DMA_CH_AUTO);
    bus_is_up = error == ESP_OK;
    return error;
}

int exchange_start(const exchange_config_t *config) {
    exchange_stop();
    int error = message_buffers_take(config->size);
    if (!error) {
        error = bring_up_bus(config);
    }
    if (!error) {
        error = add_device(config->frequency);
    }
    if (error) {
        exchange_stop();
    }
    return error;
}

/* The driver removes no device that has a result to fetch. */
static void collect_last(void) {
    spi_transaction_t *done;
    if (under_way) {
        spi_device_get_trans_result(device, &done, pdMS_TO_TICKS(LAST_TRANSFER_MS));
        under_way = false;
    }
}

void exchange_stop(void) {
    if (device != NULL) {
        collect_last();
        spi_bus_remove_device(device);
        device = NULL;
    }
    if (bus_is_up) {
        spi_bus_free(host);
        bus_is_up = false;
    }
}

static int run_asleep(void) {
    under_way = true;
    int error = spi_device_transmit(device, &transfer);
    under_way = false;
    return error;
}

int exchange_run(int offset, int n) {
    if (device == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    if (!message_has_phase(offset, n)) {
        return ESP_ERR_INVALID_ARG;
    }
    transfer = (spi_transaction_t){
        /* The driver refuses what is not aligned instead of allocating a copy. */
        .flags = SPI_TRANS_DMA_BUFFER_ALIGN_MANUAL,
        .length = (size_t)n * 8,
        .tx_buffer = message_tx() + offset,
        .rx_buffer = message_rx() + offset,
    };
    return n <= EXCHANGE_POLLED_MAX ? spi_device_polling_transmit(device, &transfer) : run_asleep();
}

/* ESP-IDF 5.4 cannot change a device's clock, so the device is removed and added again. */
int exchange_set_clock(int frequency) {
    if (device == NULL) {
        return ESP_ERR_INVALID_STATE;
    }
    if (frequency == frequency_now) {
        return ESP_OK;
    }
    int error = spi_bus_remove_device(device);
    if (error) {
        return error;
    }
    int before = frequency_now;
    error = add_device(frequency);
    if (error && add_device(before)) {
        exchange_stop();
    }
    return error;
}
