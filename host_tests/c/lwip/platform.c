/* The wake-up over lwIP's own semaphore. */
#include <stdatomic.h>
#include <stdbool.h>

#include "lwip/sys.h"
#include "platform.h"

static sys_sem_t semaphore;
static atomic_bool given; /* set by a wake-up, cleared after a sleep: at most one token is out */

void platform_start(void) {
    if (!sys_sem_valid(&semaphore)) {
        sys_sem_new(&semaphore, 0);
    }
}

void platform_sleep(uint32_t ms) {
    if (ms) {
        sys_arch_sem_wait(&semaphore, ms);
    }
    atomic_store(&given, false);
}

void platform_wake(void) {
    if (!atomic_exchange(&given, true)) {
        sys_sem_signal(&semaphore);
    }
}

void platform_wake_from_isr(void) {
    platform_wake();
}
