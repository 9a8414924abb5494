/* ESP-IDF's SPI master driver with DMA, and a controller that answers from one buffer. */
#include <pthread.h>
#include <string.h>

#include "driver/spi_master.h"
#include "fake_chip.h"

#define MESSAGE_MAX 8192
#define TRANSFERS_MAX 16

struct spi_device_t {
    bool taken;
    int host;
    int frequency;
    spi_transaction_t *result; /* of an interrupt-driven transfer, until it is fetched */
};

static int bus_host; /* 0: not initialised */
static int max_transfer;
static struct spi_device_t the_device;
static int frequency_limit = 80000000;

static uint8_t message[MESSAGE_MAX]; /* what the controller shifts */
static uint8_t received[MESSAGE_MAX];
static size_t at;

static struct {
    int n;
    bool polled;
} transfers[TRANSFERS_MAX];
static int transfer_count;

/* A transfer whose thread sleeps, as long as a test wants. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool sleeps;
static bool asleep;

/* ---- for tests ---- */

void fake_controller_message(const uint8_t *bytes, int n) {
    memset(message, 0, sizeof(message));
    memcpy(message, bytes, (size_t)n);
    at = 0;
    transfer_count = 0;
}

const uint8_t *fake_controller_received(void) {
    return received;
}

int fake_transfers(void) {
    return transfer_count;
}

/* Bytes of the i-th transfer, negative when it was polled. */
int fake_transfer(int i) {
    return transfers[i].polled ? -transfers[i].n : transfers[i].n;
}

int fake_frequency(void) {
    return the_device.taken ? the_device.frequency : 0;
}

void fake_limit_frequency(int limit) {
    frequency_limit = limit;
}

/* From now on a thread that waits for its result goes on waiting, until this is taken back. */
void fake_let_sleep(bool wanted) {
    pthread_mutex_lock(&mutex);
    sleeps = wanted;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* Returns when a thread waits. */
void fake_await_sleeper(void) {
    pthread_mutex_lock(&mutex);
    while (!asleep) {
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

/* ---- bus and device ---- */

esp_err_t spi_bus_initialize(spi_host_device_t host_id, const spi_bus_config_t *bus_config,
                             spi_dma_chan_t dma_chan) {
    if (host_id < SPI2_HOST || host_id > SPI3_HOST || bus_config->sclk_io_num < 0) {
        return ESP_ERR_INVALID_ARG;
    }
    if (dma_chan == SPI_DMA_DISABLED) {
        fake_violation("without DMA a transfer has 64 bytes at most");
    }
    if (fake_claim(host_id)) {
        return ESP_ERR_INVALID_STATE;
    }
    if (fake_runs_out()) {
        fake_release(host_id);
        return ESP_ERR_NO_MEM;
    }
    bus_host = host_id;
    max_transfer = bus_config->max_transfer_sz;
    return ESP_OK;
}

esp_err_t spi_bus_free(spi_host_device_t host_id) {
    if ((int)host_id != bus_host || !bus_host || the_device.taken) {
        fake_violation("the bus cannot be freed");
        return ESP_ERR_INVALID_STATE;
    }
    fake_release(bus_host);
    bus_host = 0;
    return ESP_OK;
}

esp_err_t spi_bus_add_device(spi_host_device_t host_id, const spi_device_interface_config_t *dev_config,
                             spi_device_handle_t *handle) {
    if ((int)host_id != bus_host || dev_config->clock_speed_hz <= 0 || dev_config->clock_speed_hz > 80000000) {
        return ESP_ERR_INVALID_ARG;
    }
    if (dev_config->clock_speed_hz > frequency_limit) {
        return ESP_ERR_NOT_SUPPORTED;
    }
    if (dev_config->mode != 1 || dev_config->spics_io_num != -1 || dev_config->flags) {
        fake_violation("the link is SPI mode 1, MSB first, and CS is not the driver's");
    }
    if (fake_runs_out()) {
        return ESP_ERR_NO_MEM;
    }
    the_device = (struct spi_device_t){true, host_id, dev_config->clock_speed_hz, NULL};
    fake_held++;
    *handle = &the_device;
    return ESP_OK;
}

esp_err_t spi_bus_remove_device(spi_device_handle_t handle) {
    if (!handle || !handle->taken) {
        fake_violation("a device that is none is removed");
        return ESP_ERR_INVALID_ARG;
    }
    if (handle->result) {
        return ESP_ERR_INVALID_STATE;
    }
    handle->taken = false;
    fake_held--;
    return ESP_OK;
}

/* ---- transfers ---- */

static esp_err_t check(const spi_transaction_t *trans) {
    size_t bytes = trans->length / 8;
    if (trans->length > (size_t)max_transfer * 8 || trans->rxlength > trans->length || !trans->length) {
        return ESP_ERR_INVALID_ARG;
    }
    if (!(trans->flags & SPI_TRANS_DMA_BUFFER_ALIGN_MANUAL)) {
        fake_violation("the driver may copy, and take memory for it");
    }
    if (trans->length % 32) {
        fake_violation("DMA writes dwords");
    }
    bool aligned = (uintptr_t)trans->rx_buffer % 4 == 0;
    bool reached = fake_dma_reaches(trans->tx_buffer, bytes) && fake_dma_reaches(trans->rx_buffer, bytes);
    return aligned && reached ? ESP_OK : ESP_ERR_INVALID_ARG;
}

static esp_err_t transfer(spi_device_handle_t handle, spi_transaction_t *trans, bool polled) {
    if (!handle || !handle->taken) {
        return ESP_ERR_INVALID_ARG;
    }
    esp_err_t error = check(trans);
    if (error) {
        return error;
    }
    size_t bytes = trans->length / 8;
    memcpy(received + at, trans->tx_buffer, bytes);
    memcpy(trans->rx_buffer, message + at, bytes);
    at += bytes;
    transfers[transfer_count].n = (int)bytes;
    transfers[transfer_count++].polled = polled;
    return ESP_OK;
}

esp_err_t spi_device_polling_transmit(spi_device_handle_t handle, spi_transaction_t *trans_desc) {
    return transfer(handle, trans_desc, true);
}

static void sleep_while_wanted(void) {
    pthread_mutex_lock(&mutex);
    while (sleeps) {
        asleep = true;
        pthread_cond_broadcast(&changed);
        pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
}

esp_err_t spi_device_transmit(spi_device_handle_t handle, spi_transaction_t *trans_desc) {
    esp_err_t error = transfer(handle, trans_desc, false);
    if (!error) {
        handle->result = trans_desc;
        sleep_while_wanted();
        handle->result = NULL;
    }
    return error;
}

esp_err_t spi_device_get_trans_result(spi_device_handle_t handle, spi_transaction_t **trans_desc,
                                      TickType_t ticks_to_wait) {
    if (ticks_to_wait == portMAX_DELAY) {
        fake_violation("waits for ever");
    }
    if (!handle->result) {
        fake_violation("waits for a result that was not asked for");
        return ESP_ERR_TIMEOUT;
    }
    *trans_desc = handle->result;
    handle->result = NULL;
    return ESP_OK;
}
