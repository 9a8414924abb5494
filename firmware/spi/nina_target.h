/*
 * The transfers of NINA's protocol: this chip is the SPI target, over ESP-IDF's SPI slave driver.
 *
 *     READY  CS
 *     high   high   nothing is armed
 *     low    high   a transfer is armed: the controller may select
 *     high   low    selected: the controller clocks
 *
 * READY falls when a transfer is mounted, and rises in the interrupt of CS as that falls. It stays high until
 * the next transfer is mounted. CS rising ends a transfer after any number of bytes; after none it is armed
 * again. MISO is driven only from the rise of READY to the end of the transfer, so that other targets may
 * share the bus. A selection while nothing is armed, and one that began before a transfer was mounted, have no
 * effect.
 *
 * The pins READY and GPIO0 are set up by Python; here their levels are set. The interrupt of CS is one of the
 * service of ESP-IDF's GPIO driver, which MicroPython installs for machine.Pin.
 *
 * For threads, allocation and errors see slave_transfer.h.
 */
#ifndef NINA_TARGET_H
#define NINA_TARGET_H

#include "slave_transfer.h"

typedef struct {
    slave_wiring_t wiring;
    int ready;
    int gpio0; /* -1: not wired */
} nina_config_t;

/* SPI mode 0, MSB first. What runs already is stopped first. After an error nothing runs. READY is high in any
 * case. */
int nina_start(const nina_config_t *config);

/* Idempotent. READY stays high, the message buffers stay. */
void nina_stop(void);

/* The next selection shifts out tx[0:n], then zeros, and shifts in to rx; bytes for which rx has no room are
 * lost. Clears the rest of tx, which must not change from now on. A transfer that was armed before is disarmed.
 * ESP_ERR_INVALID_ARG: n is not in 0..size. */
int nina_arm(int n);

/* How many bytes came in the transfer that has ended, at most the size of rx. rx may lack those that did not
 * fill a dword. SLAVE_UNDER_WAY (-1) until the armed transfer has ended, and while none is armed. */
int nina_received(void);

/* Nothing is armed any more, and READY is high. */
void nina_disarm(void);

/* GPIO0's level. It is the controller's boot strap for the module until the first command has come; from then
 * on the module drives it. */
void nina_gpio0(bool level);

#endif
