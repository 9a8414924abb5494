#include "spi_target.h"

#include <stdatomic.h>

#include "driver/spi_slave.h"
#include "esp_attr.h"
#include "esp_err.h"
#include "esp_private/spi_slave_internal.h"
#include "esp_rom_gpio.h"
#include "message_buffers.h"
#include "sck_counter.h"
#include "soc/gpio_pins.h"
#include "soc/spi_periph.h"

#define UNDER_WAY (-1)

static target_config_t config;        /* set by target_start() */
static bool running;                  /* the driver is initialised */
static spi_slave_transaction_t phase; /* the armed one; the driver writes trans_len */

/* Bytes of the last phase, set by the interrupt at its end; UNDER_WAY from target_arm() until then; 0 after
 * target_disarm(). */
static atomic_int passed;

/* Connects the peripheral's chip-select to this constant level instead of the pin. */
static void IRAM_ATTR select_by(uint32_t level) {
    esp_rom_gpio_connect_in_signal(level, spi_periph_signal[config.host].spics_in, false);
}

/* ---- interrupts ---- */

/* A phase that CS cut short never counts as whole, not even when only its last bit is missing. */
static int IRAM_ATTR bytes_of(const spi_slave_transaction_t *trans) {
    int whole = (int)(trans->length / 8);
    if (trans->trans_len >= trans->length) {
        return whole;
    }
    int bytes = (int)((trans->trans_len + 7) / 8);
    return bytes < whole ? bytes : whole - 1;
}

/* The driver has armed the peripheral, whose chip-select is a constant so far. With a counter it is low from
 * now on. */
static void IRAM_ATTR on_ready(spi_slave_transaction_t *trans) {
    (void)trans;
    select_by(config.counts ? GPIO_MATRIX_CONST_ZERO_INPUT : (uint32_t)config.cs);
}

/* The chip-select rose. It stays high: peripheral and DMA are armed until the next phase, and a controller that
 * clocks before would write on into rx. When no bit has passed, the same phase is armed again. */
static void IRAM_ATTR on_done(spi_slave_transaction_t *trans) {
    select_by(GPIO_MATRIX_CONST_ONE_INPUT);
    if (trans->trans_len == 0) {
        spi_slave_queue_trans_isr((spi_host_device_t)config.host, trans);
        return;
    }
    atomic_store(&passed, bytes_of(trans));
    config.wake();
}

/* The last bit has passed: the chip-select rises, which makes the driver call on_done(). */
static void IRAM_ATTR on_last_edge(void) {
    select_by(GPIO_MATRIX_CONST_ONE_INPUT);
}

/* ---- start and stop ---- */

static int start_driver(void) {
    spi_bus_config_t bus = {
        .mosi_io_num = config.mosi,
        .miso_io_num = config.miso,
        .sclk_io_num = config.sck,
        .quadwp_io_num = -1,
        .quadhd_io_num = -1,
        .max_transfer_sz = (int)config.size,
        /* The counter needs SCK to go through the GPIO matrix, and the driver takes all signals there. */
        .flags = config.counts ? SPICOMMON_BUSFLAG_GPIO_PINS : 0,
    };
    spi_slave_interface_config_t slave = {
        .spics_io_num = config.cs,
        .flags = SPI_SLAVE_NO_RETURN_RESULT,
        .queue_size = 1,
        .mode = 1,
        .post_setup_cb = on_ready,
        .post_trans_cb = on_done,
    };
    int error = spi_slave_initialize((spi_host_device_t)config.host, &bus, &slave, SPI_DMA_CH_AUTO);
    running = error == ESP_OK;
    return error;
}

int target_start(const target_config_t *wanted) {
    target_stop();
    config = *wanted;
    atomic_store(&passed, 0);
    int error = message_buffers_take(config.size);
    if (!error) {
        error = start_driver();
    }
    if (!error && config.counts) {
        error = sck_counter_start(config.sck, on_last_edge);
    }
    if (error) {
        target_stop();
    }
    return error;
}

void target_stop(void) {
    if (running) {
        target_disarm();
        sck_counter_stop();
        spi_slave_free((spi_host_device_t)config.host);
        running = false;
    }
}

/* ---- phases ---- */

/* The driver has no cancel. Resetting its queue makes it forget the phase, but leaves peripheral and DMA
 * armed until the next one. So the chip-select goes high, and nothing can be clocked. It does so after the
 * reset, which masks the interrupt that a rising chip-select raises. */
void target_disarm(void) {
    if (!running) {
        return;
    }
    spi_slave_queue_reset((spi_host_device_t)config.host);
    select_by(GPIO_MATRIX_CONST_ONE_INPUT);
    atomic_store(&passed, 0);
}

static int hand_to_driver(int n) {
    int error = config.counts ? sck_counter_arm(n * 8) : ESP_OK;
    return error ? error : spi_slave_queue_trans((spi_host_device_t)config.host, &phase, 0);
}

int target_arm(int offset, int n) {
    if (!running) {
        return ESP_ERR_INVALID_STATE;
    }
    if (!message_has_phase(offset, n)) {
        return ESP_ERR_INVALID_ARG;
    }
    if (atomic_load(&passed) == UNDER_WAY) {
        target_disarm();
    }
    phase = (spi_slave_transaction_t){
        .length = (size_t)n * 8,
        .tx_buffer = message_tx() + offset,
        .rx_buffer = message_rx() + offset,
    };
    atomic_store(&passed, UNDER_WAY);
    int error = hand_to_driver(n);
    if (error) {
        target_disarm();
    }
    return error;
}

/* The counter may be ahead of the interrupt, but rx is complete only after the interrupt. */
static int counted(void) {
    int bytes = config.counts ? (sck_counter_value() + 7) / 8 : 0;
    int whole = (int)(phase.length / 8);
    return bytes < whole ? bytes : whole - 1;
}

int target_clocked(void) {
    int bytes = atomic_load(&passed);
    return bytes == UNDER_WAY ? counted() : bytes;
}
