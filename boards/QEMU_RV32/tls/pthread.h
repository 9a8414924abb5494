/* What firmware/tls_session needs of threads: there is one here. */
#ifndef PTHREAD_H
#define PTHREAD_H

typedef int pthread_mutex_t;
#define PTHREAD_MUTEX_INITIALIZER 0
#define pthread_mutex_lock(mutex) ((void)*(mutex))
#define pthread_mutex_unlock(mutex) ((void)*(mutex))

#endif
