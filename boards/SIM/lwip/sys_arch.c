/*
 * lwIP's operating system layer over POSIX threads.
 *
 * It differs from the port that comes with lwIP in four ways, to be like the chips: a mailbox holds exactly
 * the number of messages that it was made for; every wait runs on the stack's (warped) clock; a call that
 * needs the core lock or the TCP/IP thread and has neither ends the process; so does a thread that takes a
 * lock which it holds already, where a chip would hang.
 */
#define _GNU_SOURCE /* pthread_setname_np, PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "lwip/opt.h"
#include "lwip/sys.h"
#include "lwip/tcpip.h"

struct port_semaphore {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned count;
};

struct port_mailbox {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* both ways: a message came, a place became free */
    int size;
    int used;
    int first;
    void *messages[];
};

struct port_mutex {
    pthread_mutex_t mutex;
};

static void condition_new(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Waits for `changed` until the deadline, or for ever without one. False: the time is over. */
static bool condition_wait(pthread_cond_t *changed, pthread_mutex_t *mutex,
                           const struct timespec *deadline) {
    if (deadline == NULL) {
        pthread_cond_wait(changed, mutex);
        return true;
    }
    return pthread_cond_timedwait(changed, mutex, deadline) != ETIMEDOUT;
}

/* ---- semaphores --------------------------------------------------------------------------- */

err_t sys_sem_new(sys_sem_t *sem, u8_t count) {
    *sem = malloc(sizeof(**sem));
    if (*sem == NULL) {
        return ERR_MEM;
    }
    pthread_mutex_init(&(*sem)->mutex, NULL);
    condition_new(&(*sem)->changed);
    (*sem)->count = count;
    return ERR_OK;
}

void sys_sem_free(sys_sem_t *sem) {
    pthread_cond_destroy(&(*sem)->changed);
    pthread_mutex_destroy(&(*sem)->mutex);
    free(*sem);
}

void sys_sem_signal(sys_sem_t *sem) {
    pthread_mutex_lock(&(*sem)->mutex);
    (*sem)->count++;
    pthread_cond_signal(&(*sem)->changed);
    pthread_mutex_unlock(&(*sem)->mutex);
}

u32_t sys_arch_sem_wait(sys_sem_t *sem, u32_t timeout_ms) {
    struct timespec deadline = clock_deadline(timeout_ms);
    u32_t started = sys_now();
    bool in_time = true;

    pthread_mutex_lock(&(*sem)->mutex);
    while ((*sem)->count == 0 && in_time) {
        in_time = condition_wait(&(*sem)->changed, &(*sem)->mutex, timeout_ms ? &deadline : NULL);
    }
    bool taken = (*sem)->count > 0;
    if (taken) {
        (*sem)->count--;
    }
    pthread_mutex_unlock(&(*sem)->mutex);
    return taken ? sys_now() - started : SYS_ARCH_TIMEOUT;
}

static pthread_key_t thread_semaphore_key;
static pthread_once_t thread_semaphore_once = PTHREAD_ONCE_INIT;

static void thread_semaphore_free(void *sem) {
    sys_sem_free(sem);
    free(sem);
}

static void thread_semaphore_key_new(void) {
    pthread_key_create(&thread_semaphore_key, thread_semaphore_free);
}

/* The calling thread's own semaphore, made when it first asks (LWIP_NETCONN_SEM_PER_THREAD). */
sys_sem_t *port_thread_semaphore(void) {
    pthread_once(&thread_semaphore_once, thread_semaphore_key_new);
    sys_sem_t *sem = pthread_getspecific(thread_semaphore_key);
    if (sem == NULL) {
        sem = malloc(sizeof(*sem));
        LWIP_ASSERT("thread semaphore", sem != NULL);
        err_t error = sys_sem_new(sem, 0);
        LWIP_ASSERT("thread semaphore", error == ERR_OK);
        pthread_setspecific(thread_semaphore_key, sem);
    }
    return sem;
}

/* ---- mailboxes ---------------------------------------------------------------------------- */

err_t sys_mbox_new(sys_mbox_t *box, int size) {
    *box = malloc(sizeof(**box) + (size_t)size * sizeof(void *));
    if (*box == NULL) {
        return ERR_MEM;
    }
    pthread_mutex_init(&(*box)->mutex, NULL);
    condition_new(&(*box)->changed);
    (*box)->size = size;
    (*box)->used = 0;
    (*box)->first = 0;
    return ERR_OK;
}

void sys_mbox_free(sys_mbox_t *box) {
    LWIP_ASSERT("mailbox freed with messages in it", (*box)->used == 0);
    pthread_cond_destroy(&(*box)->changed);
    pthread_mutex_destroy(&(*box)->mutex);
    free(*box);
}

/* Called with the mailbox's mutex held and a place free. */
static void put(sys_mbox_t box, void *message) {
    box->messages[(box->first + box->used) % box->size] = message;
    box->used++;
    pthread_cond_broadcast(&box->changed);
}

/* Called with the mailbox's mutex held and a message there. `message` may be NULL: dropped. */
static void take(sys_mbox_t box, void **message) {
    if (message != NULL) {
        *message = box->messages[box->first];
    }
    box->first = (box->first + 1) % box->size;
    box->used--;
    pthread_cond_broadcast(&box->changed);
}

void sys_mbox_post(sys_mbox_t *box, void *message) {
    pthread_mutex_lock(&(*box)->mutex);
    while ((*box)->used == (*box)->size) {
        condition_wait(&(*box)->changed, &(*box)->mutex, NULL);
    }
    put(*box, message);
    pthread_mutex_unlock(&(*box)->mutex);
}

err_t sys_mbox_trypost(sys_mbox_t *box, void *message) {
    pthread_mutex_lock(&(*box)->mutex);
    bool room = (*box)->used < (*box)->size;
    if (room) {
        put(*box, message);
    }
    pthread_mutex_unlock(&(*box)->mutex);
    return room ? ERR_OK : ERR_MEM;
}

err_t sys_mbox_trypost_fromisr(sys_mbox_t *box, void *message) {
    return sys_mbox_trypost(box, message);
}

u32_t sys_arch_mbox_fetch(sys_mbox_t *box, void **message, u32_t timeout_ms) {
    struct timespec deadline = clock_deadline(timeout_ms);
    u32_t started = sys_now();
    bool in_time = true;

    pthread_mutex_lock(&(*box)->mutex);
    while ((*box)->used == 0 && in_time) {
        in_time = condition_wait(&(*box)->changed, &(*box)->mutex, timeout_ms ? &deadline : NULL);
    }
    bool there = (*box)->used > 0;
    if (there) {
        take(*box, message);
    }
    pthread_mutex_unlock(&(*box)->mutex);
    return there ? sys_now() - started : SYS_ARCH_TIMEOUT;
}

u32_t sys_arch_mbox_tryfetch(sys_mbox_t *box, void **message) {
    pthread_mutex_lock(&(*box)->mutex);
    bool there = (*box)->used > 0;
    if (there) {
        take(*box, message);
    }
    pthread_mutex_unlock(&(*box)->mutex);
    return there ? 0 : SYS_MBOX_EMPTY;
}

/* ---- mutexes, critical sections ----------------------------------------------------------- */

err_t sys_mutex_new(sys_mutex_t *mutex) {
    *mutex = malloc(sizeof(**mutex));
    if (*mutex == NULL) {
        return ERR_MEM;
    }
    (*mutex)->mutex = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
    return ERR_OK;
}

void sys_mutex_lock(sys_mutex_t *mutex) {
    int failed = pthread_mutex_lock(&(*mutex)->mutex);
    LWIP_ASSERT("a mutex is taken by the thread that holds it", !failed);
}

void sys_mutex_unlock(sys_mutex_t *mutex) {
    pthread_mutex_unlock(&(*mutex)->mutex);
}

void sys_mutex_free(sys_mutex_t *mutex) {
    pthread_mutex_destroy(&(*mutex)->mutex);
    free(*mutex);
}

/* One lock for all. ESP-IDF's is not recursive either. */
static pthread_mutex_t protection = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;

sys_prot_t sys_arch_protect(void) {
    int failed = pthread_mutex_lock(&protection);
    LWIP_ASSERT("sys_arch_protect within sys_arch_protect", !failed);
    return 0;
}

void sys_arch_unprotect(sys_prot_t before) {
    (void)before;
    int failed = pthread_mutex_unlock(&protection);
    LWIP_ASSERT("sys_arch_unprotect without sys_arch_protect", !failed);
}

/* ---- threads and the core ----------------------------------------------------------------- */

struct thread_start {
    lwip_thread_fn function;
    void *argument;
};

static void *thread_main(void *start) {
    struct thread_start copy = *(struct thread_start *)start;
    free(start);
    copy.function(copy.argument);
    return NULL;
}

sys_thread_t sys_thread_new(const char *name, lwip_thread_fn function, void *argument,
                            int stack_size, int priority) {
    pthread_t thread;
    struct thread_start *start = malloc(sizeof(*start));
    (void)stack_size;
    (void)priority;
    LWIP_ASSERT("thread start", start != NULL);
    *start = (struct thread_start){function, argument};
    int failed = pthread_create(&thread, NULL, thread_main, start);
    LWIP_ASSERT("pthread_create", failed == 0);
    pthread_setname_np(thread, name);
    pthread_detach(thread);
    return thread;
}

static pthread_t tcpip_thread_id;
static volatile bool tcpip_thread_runs;

void sys_mark_tcpip_thread(void) {
    tcpip_thread_id = pthread_self();
    tcpip_thread_runs = true;
}

#if LWIP_TCPIP_CORE_LOCKING
static pthread_t core_holder;
static volatile bool core_held;

void port_lock_core(void) {
    sys_mutex_lock(&lock_tcpip_core);
    core_holder = pthread_self();
    core_held = true;
}

void port_unlock_core(void) {
    core_held = false;
    sys_mutex_unlock(&lock_tcpip_core);
}

void sys_check_core_locked(void) {
    LWIP_ASSERT("stack called without the core lock",
                !tcpip_thread_runs || (core_held && pthread_equal(core_holder, pthread_self())));
}
#else
void sys_check_core_locked(void) {
    LWIP_ASSERT("stack called outside the TCP/IP thread",
                !tcpip_thread_runs || pthread_equal(tcpip_thread_id, pthread_self()));
}
#endif

u32_t sys_now(void) {
    return clock_now_ms();
}

void sys_init(void) {
}

void port_assert_failed(const char *text, const char *file, int line) {
    fprintf(stderr, "lwIP assertion: %s (%s:%d)\n", text, file, line);
    abort();
}
