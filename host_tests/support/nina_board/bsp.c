/* The BSP of MicroPython's nina driver: its pins and its SPI are the virtual bus.
 *
 * The order of what it does, and what it waits for, is the driver's contract with its own BSP. How
 * long it waits is PATIENCE times as long, as this computer may have other things to do. */

#include "py/mphal.h"
#include "py/runtime.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "bus.h"
#include "faults.h"
#include "nina_bsp.h"

enum { PATIENCE = 60, RISE_MS = 100, RESET_MS = 100, BOOT_MS = 750 };

nina_faults_t nina_faults = { .cut_after = -1, .gap_after = -1 };

/* Wait until READY has this level; 0 ms: for ever. */
static int await_ready(int level, uint32_t ms) {
    mp_uint_t start = mp_hal_ticks_ms();
    while (bus_level(READY) != level) {
        if (!bus_wait(1) || (ms && mp_hal_ticks_ms() - start >= ms)) {
            return -1;
        }
        mp_event_handle_nowait(); /* Ctrl-C ends every wait of a board */
    }
    return 0;
}

int nina_bsp_init(void) {
    bus_drive(CS, 1);
    bus_drive(RESET, 0);
    mp_hal_delay_ms(RESET_MS);
    bus_drive(RESET, 1);
    mp_hal_delay_ms(BOOT_MS);
    return 0;
}

int nina_bsp_deinit(void) {
    bus_drive(CS, 1);
    bus_drive(RESET, 0);
    return 0;
}

int nina_bsp_atomic_enter(void) {
    mp_sched_lock();
    return 0;
}

int nina_bsp_atomic_exit(void) {
    mp_sched_unlock();
    return 0;
}

int nina_bsp_read_irq(void) {
    return bus_level(GPIO0);
}

int nina_bsp_spi_slave_select(uint32_t timeout) {
    if (await_ready(0, timeout ? timeout * PATIENCE : (uint32_t)nina_faults.give_up_ms) < 0) {
        nina_faults.give_up_ms = 0;
        return -1;
    }
    bus_drive(CS, 0);
    if (await_ready(1, RISE_MS * PATIENCE) < 0) {
        bus_drive(CS, 1);
        return -1;
    }
    return 0;
}

/* The driver does it before each selection too, where CS is high already. */
int nina_bsp_spi_slave_deselect(void) {
    void (*hook)(void) = nina_faults.before_release;
    if (hook && bus_level(CS) == 0) {
        nina_faults.before_release = NULL;
        hook();
    }
    bus_drive(CS, 1);
    return 0;
}

static void stand_still(int32_t ms) {
    struct timespec left = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
    nanosleep(&left, NULL);
}

/* How many of n bytes come before the fault that `left` counts down to; -1 for none. */
static int32_t before_fault(int32_t *left, uint32_t n) {
    if (*left < 0 || (uint32_t)*left >= n) {
        *left -= *left < 0 ? 0 : (int32_t)n;
        return -1;
    }
    int32_t here = *left;
    *left = -1;
    return here;
}

static const uint8_t *beyond(const uint8_t *buffer, int32_t n) {
    return buffer ? buffer + n : NULL;
}

int nina_bsp_spi_transfer(const uint8_t *tx, uint8_t *rx, uint32_t size) {
    int32_t cut = before_fault(&nina_faults.cut_after, size);
    int32_t gap = before_fault(&nina_faults.gap_after, size);
    if (cut >= 0) {
        bus_clock(tx, rx, (size_t)cut);
        return -1;
    }
    if (gap >= 0) {
        if (!bus_clock(tx, rx, (size_t)gap)) {
            return -1;
        }
        stand_still(nina_faults.gap_ms);
        tx = beyond(tx, gap);
        rx = rx ? rx + gap : NULL;
        size -= (uint32_t)gap;
    }
    return bus_clock(tx, rx, size) ? 0 : -1;
}
