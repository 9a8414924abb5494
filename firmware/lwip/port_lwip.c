/* The wake-up over lwIP's own semaphore, for ports without interrupts (SIM, host tests). */
#include <stdatomic.h>
#include <stdbool.h>

#include "lwip/sys.h"
#include "port.h"

static sys_sem_t semaphore;
static atomic_bool given; /* set by who wakes, cleared by who slept: one token at most is out */

void port_start(void) {
    if (!sys_sem_valid(&semaphore)) {
        sys_sem_new(&semaphore, 0);
    }
}

void port_sleep(uint32_t ms) {
    if (ms) {
        sys_arch_sem_wait(&semaphore, ms);
    }
    atomic_store(&given, false);
}

void port_wake(void) {
    if (!atomic_exchange(&given, true)) {
        sys_sem_signal(&semaphore);
    }
}

void port_wake_from_isr(void) {
    port_wake();
}
