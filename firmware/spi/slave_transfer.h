/*
 * One transfer at a time over ESP-IDF's SPI slave driver, for both targets.
 *
 * The peripheral's chip-select is a constant 1 except while a transfer is mounted: peripheral and DMA stay as
 * the last transfer left them, and would accept clocked bytes. Only the ESP32's driver disconnects it by
 * itself. So `on_ready` has to connect the chip-select, and `on_done` has to begin with slave_deselect().
 *
 * All functions belong to one thread, on the core that called slave_start(): the driver's interrupts run
 * there too. No function waits. Only slave_start() and slave_stop() allocate and free. Errors are ESP-IDF's
 * esp_err_t.
 */
#ifndef SLAVE_TRANSFER_H
#define SLAVE_TRANSFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "driver/spi_slave.h"

#define SLAVE_UNDER_WAY (-1)

typedef struct {
    int host; /* ESP-IDF's number of the SPI: 1 is SPI2, 2 is SPI3 */
    int sck;
    int mosi;
    int miso;
    int cs;
    size_t size;        /* of each message buffer */
    void (*wake)(void); /* called by the interrupt when a transfer is over */
} slave_wiring_t;

/* What differs between the targets. Both functions run in the driver's interrupt. */
typedef struct {
    int mode;
    bool through_matrix; /* all signals go through the GPIO matrix, where the program can change them */
    slave_transaction_cb_t on_ready; /* the transfer is mounted */
    slave_transaction_cb_t on_done;  /* the chip-select rose */
} slave_kind_t;

typedef struct {
    slave_wiring_t wiring;
    bool running;                        /* the driver is initialised */
    spi_slave_transaction_t transaction; /* the armed one; the driver writes trans_len */
    atomic_int passed; /* bytes of the last transfer; SLAVE_UNDER_WAY until it is over; 0: disarmed */
} slave_t;

/* Takes the message buffers and initialises the driver, MSB first. After an error nothing runs. */
int slave_start(slave_t *slave, const slave_wiring_t *wiring, const slave_kind_t *kind);

/* Idempotent. The message buffers stay. */
void slave_stop(slave_t *slave);

/* Hands n bytes at `offset` of the message buffers to the driver, whose interrupt mounts them. */
int slave_arm(slave_t *slave, int offset, int n);

/* Nothing is armed any more, and what is clocked is lost. */
void slave_disarm(slave_t *slave);

/* ---- for the interrupts ---- */

/* Connects the peripheral's chip-select: to a GPIO or to GPIO_MATRIX_CONST_..._INPUT. */
void slave_select_by(const slave_t *slave, int source);
void slave_deselect(const slave_t *slave);

/* Mounts the same transfer once more. */
void slave_rearm(slave_t *slave);

/* Ends the transfer, and the loop's wait for it. */
void slave_end(slave_t *slave, int bytes);

#endif
