/*
 * The controller-clocked role's transfers: this chip is the SPI target, over ESP-IDF's SPI slave driver.
 *
 * A phase is armed, the controller clocks it, and an interrupt notes how many bytes passed and ends the
 * loop's wait. For the driver a transfer is over when CS rises. Where the chip can count the edges of SCK
 * (ESP32, ESP32-S3), the count can end a phase instead: the peripheral then gets a chip-select made here,
 * which is low from arming to the last bit. The controller's CS may then stay low for a whole transaction or
 * rise at any time, but no other device may share SCK and MISO. Without counting, the peripheral sees the
 * real CS, which has to rise after each phase.
 *
 * For threads, allocation and errors see slave_transfer.h.
 */
#ifndef SPI_TARGET_H
#define SPI_TARGET_H

#include "slave_transfer.h"

/* SPI mode 1, MSB first. `counts`: end a phase by counting SCK; needs SCK_COUNTER_THERE. What runs already is
 * stopped first. After an error nothing runs. */
int target_start(const slave_wiring_t *wiring, bool counts);

/* Idempotent. The message buffers stay. */
void target_stop(void);

/* The next n bytes that are clocked come from tx and go to rx, from `offset` on. tx must not change from now
 * on. A phase that was armed before is disarmed. ESP_ERR_INVALID_ARG: see message_has_phase(). */
int target_arm(int offset, int n);

/* Bytes of the armed phase that have passed. n: the phase is over and rx is complete. Fewer after CS rose:
 * the phase is over too, and rx may lack the bytes that did not fill a dword. Without a counter it is 0 until
 * CS rises. */
int target_clocked(void);

/* Nothing is armed any more: MISO is not driven, and what is clocked is lost. */
void target_disarm(void);

#endif
