/*
 * The controller-clocked role's transfers: this chip as SPI target, over ESP-IDF's SPI slave driver.
 *
 * A phase is armed, the controller clocks it, an interrupt records how much passed and ends the
 * loop's wait. The driver knows that a transfer is over when CS rises. Where the chip can count the
 * edges of SCK (ESP32, ESP32-S3), the count can end a phase instead: the target then has a
 * chip-select of its own making, low from arming to the last bit. The controller's CS may stay low
 * for a whole transaction, or rise whenever it likes, but SCK and MISO are shared with nobody.
 * Without counting CS is what it is on every bus, and has to rise after each phase.
 *
 * All functions belong to one thread, on the core that called target_start(): the driver's
 * interrupts then run there too. None of them waits; only target_start() and target_stop() allocate
 * and free. Errors are ESP-IDF's esp_err_t.
 */
#ifndef SPI_TARGET_H
#define SPI_TARGET_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int host; /* ESP-IDF's number of the SPI: 1 is SPI2, 2 is SPI3 */
    int sck;
    int mosi;
    int miso;
    int cs;
    bool counts;         /* end a phase by counting SCK; ESP_ERR_NOT_SUPPORTED where that cannot be */
    size_t size;         /* of each message buffer */
    void (*wake)(void);  /* a phase is over; called by the interrupt */
} target_config_t;

/* SPI mode 1, MSB first. Running already: stopped first. On an error nothing is left running. */
int target_start(const target_config_t *config);

/* Idempotent. The message buffers stay. */
void target_stop(void);

/* The next n bytes that are clocked come from tx and go to rx, from `offset` on. What was armed is
 * taken back. What tx holds counts from now on. ESP_ERR_INVALID_ARG when that is no phase. */
int target_arm(int offset, int n);

/* Bytes of the armed phase that have passed. n: it is over, and rx holds all of it. Less, and CS
 * rose: it is over as well, and rx may lack what did not fill a dword. Without a counter, 0 until
 * CS rises. */
int target_clocked(void);

/* Nothing is armed: MISO says nothing and what is clocked goes nowhere. */
void target_disarm(void);

#endif
