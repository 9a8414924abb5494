/*
 * ESP-IDF's SPI slave driver with DMA, its peripheral, and the controller on the other side.
 *
 * As in the driver: one transaction is mounted at a time, when its interrupt takes it from the
 * queue; the interrupt also runs to mount the first. A transaction is over when CS, as the peripheral
 * sees it, rises. Peripheral and DMA stay as they are until the next is mounted, also when the queue is
 * reset: what a controller clocks meanwhile goes on where the last transaction ended. On an ESP32 the driver
 * disconnects CS while nothing is mounted, and connects it again; on the others it never touches it.
 */
#include <string.h>

#include "driver/spi_slave.h"
#include "esp_private/spi_slave_internal.h"
#include "fake_chip.h"
#include "soc/gpio_pins.h"
#include "soc/spi_periph.h"

#define QUEUE_MAX 4
#define PHASE_MAX 4096
#define CS_PIN 10     /* until the driver knows it */
#define UNDRIVEN 0xff /* MISO while it is not driven */
#define BEYOND 0xee   /* what the peripheral shifts past the end of its buffer */
#define SPOILT 0xdb   /* what DMA leaves of a dword that did not fill */

typedef const spi_slave_transaction_t *queued_t;

static int the_host; /* 0: not initialised */
static spi_slave_interface_config_t cfg;
static int max_transfer;
static int miso_pin;
static queued_t queue[QUEUE_MAX];
static int queue_length;
static spi_slave_transaction_t *current; /* mounted, as the driver remembers it */
static bool interrupt_enabled;
static bool done_pending; /* the peripheral's "transaction done" */

/* The peripheral. */
static bool active;
static uint8_t shifts_out[PHASE_MAX]; /* DMA has fetched it when the transaction was mounted */
static uint8_t *takes_in;
static uint8_t dword[4];
static size_t length;
static size_t bits;
static uint32_t select_source = GPIO_MATRIX_CONST_ONE_INPUT;
static int cs_pin_level = 1;
static int seen_level = 1;

static bool is_esp32; /* its driver routes CS, and tells no more than the length of a transaction */

/* ---- the peripheral ---- */

static void spoil_last_dword(void) {
    size_t taken = bits < length ? bits : length;
    if (taken % 32) {
        memset(takes_in + taken / 32 * 4, SPOILT, 4);
    }
}

static void see_select(void) {
    int level = select_source == GPIO_MATRIX_CONST_ONE_INPUT    ? 1
                : select_source == GPIO_MATRIX_CONST_ZERO_INPUT ? 0
                                                                : cs_pin_level;
    bool rises = level > seen_level;
    seen_level = level;
    if (rises && active) {
        spoil_last_dword();
        done_pending = true;
    }
}

/* Connects the chip-select where the driver does so. */
static void route_cs(uint32_t source) {
    if (is_esp32) {
        select_source = source;
        see_select();
    }
}

void fake_select_by(uint32_t source, uint32_t signal) {
    if (!the_host || signal != spi_periph_signal[the_host].spics_in) {
        fake_violation("the chip-select of an SPI that is not ours");
    }
    select_source = source;
    see_select();
}

static int next_out(size_t at) {
    uint8_t byte = at < length ? shifts_out[at / 8] : BEYOND;
    return byte >> (7 - at % 8) & 1;
}

static void take_in(int bit) {
    if (bits >= length) {
        return;
    }
    size_t in_dword = bits % 32;
    dword[in_dword / 8] = (uint8_t)(dword[in_dword / 8] << 1 | bit);
    if (in_dword == 31) {
        memcpy(takes_in + bits / 32 * 4, dword, 4);
    }
}

static int shift(int bit) {
    if (!active || seen_level) {
        return 1; /* UNDRIVEN */
    }
    int out = next_out(bits);
    take_in(bit);
    bits++;
    return out;
}

/* ---- the controller's side, for tests ---- */

void fake_controller_cs(int level) {
    cs_pin_level = level;
    fake_pin_input(the_host ? cfg.spics_io_num : CS_PIN, level);
    see_select();
    fake_run_interrupts();
}

/* One burst of SCK. */
void fake_controller_clock(const uint8_t *out, uint8_t *in, int count) {
    for (int i = 0; i < count; i++) {
        int bit = shift(out[i / 8] >> (7 - i % 8) & 1) || !fake_pin_reaches_wire(miso_pin);
        in[i / 8] = (uint8_t)(in[i / 8] << 1 | bit);
        fake_counter_edge();
    }
    fake_run_interrupts();
}

int fake_spi_mode(void) {
    return cfg.mode;
}

void fake_esp32(bool is) {
    is_esp32 = is;
}

/* ---- the driver's interrupt ---- */

static void report(void) {
    size_t told = bits + (bits + 1 == length); /* the driver takes one less for all of it */
    route_cs(GPIO_MATRIX_CONST_ONE_INPUT);
    current->trans_len = is_esp32 && told > length ? length : told;
    if (cfg.post_trans_cb) {
        cfg.post_trans_cb(current);
    }
    current = NULL;
}

static void mount(queued_t next) {
    current = (spi_slave_transaction_t *)next;
    length = next->length;
    bits = 0;
    memcpy(shifts_out, next->tx_buffer, length / 8);
    takes_in = next->rx_buffer;
    active = true;
    route_cs((uint32_t)cfg.spics_io_num);
    done_pending = false;
    if (cfg.post_setup_cb) {
        cfg.post_setup_cb(current);
    }
}

bool fake_slave_interrupt(void) {
    if (!interrupt_enabled || !done_pending) {
        return false;
    }
    if (current) {
        report();
    }
    interrupt_enabled = false;
    if (queue_length) {
        queued_t next = queue[0];
        memmove(queue, queue + 1, (size_t)--queue_length * sizeof(queue[0]));
        interrupt_enabled = true;
        mount(next);
    }
    return true;
}

/* ---- the driver ---- */

static bool is_ours(int host) {
    return the_host && host == the_host;
}

static bool is_pin(int pin) {
    return pin >= 0 && pin < 40;
}

static bool pins_are_good(const spi_bus_config_t *bus, const spi_slave_interface_config_t *slave) {
    if (slave->spics_io_num < 0) {
        fake_violation("with DMA the driver needs a CS pin: without one it reroutes another signal");
    }
    return is_pin(bus->sclk_io_num) && is_pin(bus->mosi_io_num) && is_pin(bus->miso_io_num) &&
           is_pin(slave->spics_io_num);
}

static esp_err_t check_config(int host, const spi_bus_config_t *bus, const spi_slave_interface_config_t *slave) {
    if (host < SPI2_HOST || host > SPI3_HOST || !pins_are_good(bus, slave)) {
        return ESP_ERR_INVALID_ARG;
    }
    if ((slave->flags & SPI_SLAVE_NO_RETURN_RESULT) && !slave->post_trans_cb) {
        return ESP_ERR_INVALID_ARG;
    }
    if (!(slave->flags & SPI_SLAVE_NO_RETURN_RESULT)) {
        fake_violation("results are not fetched, so the queue of them overflows");
    }
    return ESP_OK;
}

esp_err_t spi_slave_initialize(spi_host_device_t host, const spi_bus_config_t *bus_config,
                               const spi_slave_interface_config_t *slave_config, spi_dma_chan_t dma_chan) {
    esp_err_t error = check_config((int)host, bus_config, slave_config);
    if (!error) {
        error = fake_claim(host);
    }
    if (error) {
        return error;
    }
    if (fake_runs_out()) {
        fake_release(host);
        return ESP_ERR_NO_MEM;
    }
    the_host = host;
    cfg = *slave_config;
    miso_pin = bus_config->miso_io_num;
    fake_pin_connect(miso_pin, true, !(bus_config->flags & SPICOMMON_BUSFLAG_GPIO_PINS));
    max_transfer = dma_chan == SPI_DMA_DISABLED ? 64 : bus_config->max_transfer_sz;
    select_source = (uint32_t)cfg.spics_io_num;
    route_cs(GPIO_MATRIX_CONST_ONE_INPUT);
    see_select();
    queue_length = 0;
    current = NULL;
    interrupt_enabled = false;
    done_pending = true; /* so that enabling the interrupt mounts the first transaction */
    return ESP_OK;
}

esp_err_t spi_slave_free(spi_host_device_t host) {
    if (!is_ours((int)host)) {
        return ESP_ERR_INVALID_ARG;
    }
    if (current || queue_length) {
        fake_violation("freed with a transaction in the driver");
    }
    active = false;
    interrupt_enabled = false;
    fake_pin_connect(miso_pin, false, false);
    fake_release(the_host);
    the_host = 0;
    return ESP_OK;
}

static bool is_good(queued_t trans) {
    if (trans->length % 32 || !trans->length) {
        fake_violation("DMA overwrites what follows a length that is not whole dwords");
    }
    return fake_dma_reaches(trans->tx_buffer, trans->length / 8) &&
           fake_dma_reaches(trans->rx_buffer, trans->length / 8) && (uintptr_t)trans->rx_buffer % 4 == 0 &&
           trans->length % 8 == 0 && trans->length <= (size_t)max_transfer * 8;
}

static esp_err_t enqueue(spi_host_device_t host, queued_t trans, esp_err_t when_full) {
    if (!is_ours((int)host) || !is_good(trans)) {
        return ESP_ERR_INVALID_ARG;
    }
    if (trans == current && !done_pending) {
        fake_violation("a transaction that is mounted was queued again");
    }
    if (queue_length == cfg.queue_size || queue_length == QUEUE_MAX) {
        return when_full;
    }
    queue[queue_length++] = trans;
    return ESP_OK;
}

esp_err_t spi_slave_queue_trans(spi_host_device_t host, const spi_slave_transaction_t *trans_desc,
                                TickType_t ticks_to_wait) {
    if (fake_in_isr || ticks_to_wait) {
        fake_violation("queueing may wait");
    }
    esp_err_t error = enqueue(host, trans_desc, ESP_ERR_TIMEOUT);
    if (!error) {
        interrupt_enabled = true;
        fake_run_interrupts();
    }
    return error;
}

esp_err_t spi_slave_queue_trans_isr(spi_host_device_t host, const spi_slave_transaction_t *trans_desc) {
    if (!fake_in_isr) {
        fake_violation("the interrupt's call outside of one");
    }
    return enqueue(host, trans_desc, ESP_ERR_NO_MEM);
}

esp_err_t spi_slave_queue_reset(spi_host_device_t host) {
    if (fake_in_isr) {
        fake_violation("the task's reset in an interrupt");
    }
    if (!is_ours((int)host)) {
        return ESP_ERR_INVALID_ARG;
    }
    interrupt_enabled = false;
    done_pending = true;
    queue_length = 0;
    current = NULL;
    return ESP_OK;
}
