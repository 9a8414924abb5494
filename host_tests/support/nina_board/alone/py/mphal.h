/* In place of MicroPython's own: what its nina driver uses of it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MICROPY_PY_NETWORK_NINAW10 (1)
#define MICROPY_HW_PIN_EXT_COUNT (7) /* of an Arduino Nano RP2040 Connect */
#define MIN(a, b) ((a) < (b) ? (a) : (b))

typedef unsigned long mp_uint_t;

static inline mp_uint_t mp_hal_ticks_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (mp_uint_t)now.tv_sec * 1000 + (mp_uint_t)now.tv_nsec / 1000000;
}

static inline void mp_hal_delay_ms(mp_uint_t ms) {
    struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&left, NULL);
}
