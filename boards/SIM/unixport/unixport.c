/* Where SIM differs from MicroPython's unix port: threads that share a GIL, signals, and what may
 * be imported. A function __wrap_x() stands in for x() at link time. */

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "py/builtin.h"
#include "py/gc.h"
#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/runtime.h"

/* ---- threads -------------------------------------------------------------------------------- */

/* How often a thread that sleeps runs scheduled functions and looks for Ctrl-C. Each time it takes the
 * GIL from the service; once in a millisecond would be too often. */
#define SLICE_MS (10)

/* time.sleep_ms(). The port's own holds the GIL all the while, and the service would stand still
 * whenever the REPL's thread sleeps. */
void sim_delay_ms(unsigned long ms) {
    mp_uint_t start = mp_hal_ticks_ms();
    for (mp_uint_t passed = 0; passed < ms; passed = mp_hal_ticks_ms() - start) {
        mp_uint_t left = ms - passed;
        mp_event_handle_nowait();
        MP_THREAD_GIL_EXIT();
        usleep((left < SLICE_MS ? left : SLICE_MS) * 1000);
        MP_THREAD_GIL_ENTER();
    }
}

/* Held by the thread that is next to get the GIL, from before it waits until it has it. A thread
 * that lets go of the GIL and wants it back finds this taken and so comes second; with the GIL
 * alone, it would have the GIL again long before the other thread is awake. */
static pthread_mutex_t turnstile;

/* Robust, since the VM cancels the other threads when it ends, and they are likely in here. */
__attribute__((constructor)) static void turnstile_init(void) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&turnstile, &attributes);
    pthread_mutexattr_destroy(&attributes);
}

static void turnstile_enter(void) {
    if (pthread_mutex_lock(&turnstile) == EOWNERDEAD) {
        pthread_mutex_consistent(&turnstile);
    }
}

int __real_mp_thread_mutex_lock(mp_thread_mutex_t *mutex, int wait);

/* Every mutex but the GIL is locked by the port's function. */
int __wrap_mp_thread_mutex_lock(mp_thread_mutex_t *mutex, int wait) {
    if (mutex != &MP_STATE_VM(gil_mutex)) {
        return __real_mp_thread_mutex_lock(mutex, wait);
    }
    turnstile_enter();
    int taken = __real_mp_thread_mutex_lock(mutex, wait);
    pthread_mutex_unlock(&turnstile);
    return taken;
}

/* ---- signals -------------------------------------------------------------------------------- */

int __real_sem_wait(sem_t *semaphore);

/* The thread that collects garbage waits here until each other thread has scanned its own stack.
 * The port ignores why the wait ended. If a signal could end it, the collection would go on without
 * that scan and free objects that only the other thread's stack refers to. */
int __wrap_sem_wait(sem_t *semaphore) {
    int failed;
    do {
        failed = __real_sem_wait(semaphore);
    } while (failed && errno == EINTR);
    return failed;
}

#define INTERRUPTED (130)

static volatile sig_atomic_t python_is_told;

/* Ctrl-C. When Python is told, KeyboardInterrupt is raised in the main thread at its next
 * opportunity. The process ends when a second Ctrl-C comes before that, and when Python is not told.
 * The port's handler would call exit(), which is not safe in a signal handler, with another code. */
static void on_interrupt(int number) {
    (void)number;
    mp_obj_t interrupt = MP_OBJ_FROM_PTR(&MP_STATE_VM(mp_kbd_exception));
    if (!python_is_told || MP_STATE_MAIN_THREAD(mp_pending_exception) == interrupt) {
        _exit(INTERRUPTED);
    }
    mp_sched_keyboard_interrupt();
}

__attribute__((constructor)) static void interrupt_init(void) {
    struct sigaction action = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &action, NULL);
}

void __wrap_mp_hal_set_interrupt_char(char c) {
    python_is_told = c == CHAR_CTRL_C;
}

/* ---- the heap ------------------------------------------------------------------------------- */

/* How much the heap could grow. The ESP32 port's function of this name returns the largest free block. */
size_t gc_get_max_new_split(void) {
    return 1024 * 1024;
}

/* ---- imports -------------------------------------------------------------------------------- */

mp_import_stat_t __real_mp_vfs_import_stat(const char *path);

/* The port's sys.path begins with "", the current folder; only paths made from that entry have no
 * slash. Nothing of the current folder is imported unless MICROPYPATH or a script names it. */
mp_import_stat_t __wrap_mp_vfs_import_stat(const char *path) {
    return strchr(path, '/') ? __real_mp_vfs_import_stat(path) : MP_IMPORT_STAT_NO_EXIST;
}
