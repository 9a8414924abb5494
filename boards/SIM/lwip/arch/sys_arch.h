/* Threads, mailboxes and semaphores for lwIP over POSIX threads; see sys_arch.c. */
#ifndef SPINET_ARCH_SYS_ARCH_H
#define SPINET_ARCH_SYS_ARCH_H

#include <pthread.h>

#define SYS_MBOX_NULL NULL
#define SYS_SEM_NULL NULL

typedef struct port_semaphore *sys_sem_t;
typedef struct port_mailbox *sys_mbox_t;
typedef struct port_mutex *sys_mutex_t;
typedef pthread_t sys_thread_t;

#define sys_sem_valid(sem) (((sem) != NULL) && (*(sem) != NULL))
#define sys_sem_valid_val(sem) ((sem) != NULL)
#define sys_sem_set_invalid(sem) (*(sem) = NULL)
#define sys_mbox_valid(box) (((box) != NULL) && (*(box) != NULL))
#define sys_mbox_valid_val(box) ((box) != NULL)
#define sys_mbox_set_invalid(box) (*(box) = NULL)
#define sys_mutex_valid(mutex) sys_sem_valid(mutex)
#define sys_mutex_set_invalid(mutex) sys_sem_set_invalid(mutex)

sys_sem_t *port_thread_semaphore(void);
#define LWIP_NETCONN_THREAD_SEM_GET() port_thread_semaphore()
#define LWIP_NETCONN_THREAD_SEM_ALLOC() ((void)port_thread_semaphore())
#define LWIP_NETCONN_THREAD_SEM_FREE()

void sys_mark_tcpip_thread(void);

#if LWIP_TCPIP_CORE_LOCKING
void port_lock_core(void);
void port_unlock_core(void);
#define LOCK_TCPIP_CORE() port_lock_core()
#define UNLOCK_TCPIP_CORE() port_unlock_core()
#endif

#endif
