#include "nina_target.h"

#include <string.h>

#include "driver/gpio.h"
#include "esp_attr.h"
#include "esp_err.h"
#include "hal/gpio_ll.h"
#include "message_buffers.h"
#include "soc/gpio_struct.h"

static slave_t slave;
static int ready; /* GPIO numbers, set by nina_start() */
static int gpio0 = -1;

/* A transfer is mounted, and READY is low. */
static volatile bool offered;

/* ---- the signals, in interrupts too ---- */

static bool IRAM_ATTR is_selected(void) {
    return !gpio_ll_get_level(&GPIO, (uint32_t)slave.wiring.cs);
}

static void IRAM_ATTR set_ready(uint32_t level) {
    gpio_ll_set_level(&GPIO, (uint32_t)ready, level);
}

/* In this order, so that an interrupt of CS in between finds nothing offered. */
static void IRAM_ATTR withdraw(void) {
    offered = false;
    set_ready(1);
    gpio_ll_output_disable(&GPIO, (uint32_t)slave.wiring.miso);
}

/* ---- interrupts ---- */

/* CS fell. If this interrupt is late, CS may have risen since; then on_done() has raised READY, and may have
 * armed the next transfer already. */
static void IRAM_ATTR on_select(void *unused) {
    (void)unused;
    if (offered && is_selected()) {
        gpio_ll_output_enable(&GPIO, (uint32_t)slave.wiring.miso);
        set_ready(1);
    }
}

/* If CS is low already, the peripheral sees only the rest of that selection. READY then stays high, and
 * on_done() drops those bytes. */
static void IRAM_ATTR on_ready(spi_slave_transaction_t *trans) {
    (void)trans;
    slave_select_by(&slave, slave.wiring.cs);
    if (!is_selected()) {
        offered = true;
        set_ready(0);
        on_select(NULL); /* for a controller that did not wait for READY */
    }
}

static void IRAM_ATTR on_done(spi_slave_transaction_t *trans) {
    bool taken = offered;
    slave_deselect(&slave);
    withdraw();
    size_t bits = trans->trans_len < trans->length ? trans->trans_len : trans->length;
    if (taken && bits >= 8) {
        slave_end(&slave, (int)(bits / 8));
    } else {
        slave_rearm(&slave);
    }
}

/* ---- start and stop ---- */

static int listen_to_cs(int cs) {
    int error = gpio_set_intr_type(cs, GPIO_INTR_NEGEDGE);
    return error ? error : gpio_isr_handler_add(cs, on_select, NULL);
}

/* From here on the GPIO controls whether MISO is driven, not the peripheral. */
int nina_start(const nina_config_t *config) {
    nina_stop();
    ready = config->ready;
    gpio0 = config->gpio0;
    set_ready(1);
    slave_kind_t kind = {.mode = 0, .through_matrix = true, .on_ready = on_ready, .on_done = on_done};
    int error = slave_start(&slave, &config->wiring, &kind);
    if (!error) {
        gpio_ll_set_output_enable_ctrl(&GPIO, (uint8_t)slave.wiring.miso, false, false);
        withdraw();
        error = listen_to_cs(slave.wiring.cs);
    }
    if (error) {
        nina_stop();
    }
    return error;
}

void nina_stop(void) {
    if (slave.running) {
        gpio_isr_handler_remove(slave.wiring.cs);
        nina_disarm();
        slave_stop(&slave);
    }
}

/* ---- transfers ---- */

void nina_disarm(void) {
    if (slave.running) {
        slave_disarm(&slave);
        withdraw();
    }
}

static void lead_gpio0(void) {
    if (gpio0 >= 0 && nina_received() > 0) {
        gpio_ll_output_enable(&GPIO, (uint32_t)gpio0);
    }
}

int nina_arm(int n) {
    size_t size = message_size();
    if (!slave.running) {
        return ESP_ERR_INVALID_STATE;
    }
    if (n < 0 || (size_t)n > size) {
        return ESP_ERR_INVALID_ARG;
    }
    lead_gpio0();
    nina_disarm();
    memset(message_tx() + n, 0, size - (size_t)n);
    return slave_arm(&slave, 0, (int)size);
}

int nina_received(void) {
    int bytes = atomic_load(&slave.passed);
    return bytes ? bytes : SLAVE_UNDER_WAY; /* 0: nothing is armed */
}

void nina_gpio0(bool level) {
    if (gpio0 >= 0) {
        gpio_ll_set_level(&GPIO, (uint32_t)gpio0, level);
    }
}
