/* The part of POSIX threads that ESP-IDF's own pthread.h and our C build on; Espressif's C library has
 * this header, Debian's picolibc has not. For make check-idf alone. */
#ifndef SPINET_CHECK_PTHREAD_H
#define SPINET_CHECK_PTHREAD_H

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#define PTHREAD_MUTEX_INITIALIZER 0xFFFFFFFFu

typedef uint32_t pthread_t;
typedef uint32_t pthread_mutex_t;
typedef struct {
    int clock;
} pthread_condattr_t;
typedef struct {
    int kind;
} pthread_mutexattr_t;

int pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);
int pthread_mutex_destroy(pthread_mutex_t *mutex);
int pthread_mutex_lock(pthread_mutex_t *mutex);
int pthread_mutex_trylock(pthread_mutex_t *mutex);
int pthread_mutex_unlock(pthread_mutex_t *mutex);

#endif
