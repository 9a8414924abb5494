#include "spi_target.h"

#include "esp_attr.h"
#include "esp_err.h"
#include "message_buffers.h"
#include "sck_counter.h"
#include "soc/gpio_pins.h"

static slave_t slave;
static bool counts; /* set by target_start() */

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

/* With a counter the chip-select is low from now on. */
static void IRAM_ATTR on_ready(spi_slave_transaction_t *trans) {
    (void)trans;
    slave_select_by(&slave, counts ? GPIO_MATRIX_CONST_ZERO_INPUT : slave.wiring.cs);
}

/* When no bit has passed, the same phase is armed again. */
static void IRAM_ATTR on_done(spi_slave_transaction_t *trans) {
    slave_deselect(&slave);
    if (trans->trans_len == 0) {
        slave_rearm(&slave);
    } else {
        slave_end(&slave, bytes_of(trans));
    }
}

/* The last bit has passed: the chip-select rises, which makes the driver call on_done(). */
static void IRAM_ATTR on_last_edge(void) {
    slave_deselect(&slave);
}

/* ---- start and stop ---- */

/* The counter needs SCK to go through the GPIO matrix. */
int target_start(const slave_wiring_t *wiring, bool by_counting) {
    target_stop();
    counts = by_counting;
    slave_kind_t kind = {.mode = 1, .through_matrix = counts, .on_ready = on_ready, .on_done = on_done};
    int error = slave_start(&slave, wiring, &kind);
    if (!error && counts) {
        error = sck_counter_start(wiring->sck, on_last_edge);
    }
    if (error) {
        target_stop();
    }
    return error;
}

void target_stop(void) {
    if (slave.running) {
        target_disarm();
        sck_counter_stop();
        slave_stop(&slave);
    }
}

/* ---- phases ---- */

void target_disarm(void) {
    slave_disarm(&slave);
}

int target_arm(int offset, int n) {
    if (!slave.running) {
        return ESP_ERR_INVALID_STATE;
    }
    if (!message_has_phase(offset, n)) {
        return ESP_ERR_INVALID_ARG;
    }
    if (atomic_load(&slave.passed) == SLAVE_UNDER_WAY) {
        target_disarm();
    }
    int error = counts ? sck_counter_arm(n * 8) : ESP_OK;
    return error ? error : slave_arm(&slave, offset, n);
}

/* The counter may be ahead of the interrupt, but rx is complete only after the interrupt. */
static int counted(void) {
    int bytes = counts ? (sck_counter_value() + 7) / 8 : 0;
    int whole = (int)(slave.transaction.length / 8);
    return bytes < whole ? bytes : whole - 1;
}

int target_clocked(void) {
    int bytes = atomic_load(&slave.passed);
    return bytes == SLAVE_UNDER_WAY ? counted() : bytes;
}
