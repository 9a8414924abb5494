/* Compiler and C library facts for lwIP on Linux. Read by lwip/arch.h. */
#ifndef SPINET_ARCH_CC_H
#define SPINET_ARCH_CC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

void *heap_malloc(size_t size);
void *heap_calloc(size_t count, size_t size);
void heap_free(void *block);

typedef uint32_t sys_prot_t;

/* Seeded, so that ports and sequence numbers of a run repeat; see clock.c. */
uint32_t port_random(void);
#define LWIP_RAND() port_random()

/* Prints what failed and aborts: lwIP's assertions find real bugs. */
__attribute__((noreturn)) void port_assert_failed(const char *text, const char *file, int line);
#define LWIP_PLATFORM_ASSERT(text) port_assert_failed(text, __FILE__, __LINE__)

/* The C library's select set is not lwIP's; lwip/sockets.h wants one or the other. */
#include <sys/select.h>

#endif
