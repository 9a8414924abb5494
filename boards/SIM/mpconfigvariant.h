/* SIM: what MicroPython's unix port has in it. What the port takes as a make variable is in
 * mpconfigvariant.mk. */

/* The chips' ports are built at this level too, so that what works here works there. */
#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

/* The unix port's own features: files, time, select on file descriptors, the REPL's keys,
 * exceptions that need no heap, and computed goto. */
#include "variants/mpconfigvariant_common.h"

/* No pins, timers or memory access by accident: SIM's hardware is the virtual bus alone. */
#undef MICROPY_PY_MACHINE
#define MICROPY_PY_MACHINE (0)

/* The service runs in a thread of its own beside the REPL, and the GIL lets them share the
 * firmware's objects as safely as on the chips. */
#define MICROPY_PY_THREAD (1)
#define MICROPY_PY_THREAD_GIL (1)

/* Branches between two offers of the GIL. They are always taken up by a waiting thread here
 * (unixport), and changing threads takes some microseconds: not too often. */
#define MICROPY_PY_THREAD_GIL_VM_DIVISOR (1000)

/* Sleeping lets the other threads run (unixport); the port's own function would not. */
void sim_delay_ms(unsigned long ms);
#define mp_hal_delay_ms sim_delay_ms

/* The port's atomic section is a recursive mutex, which only builds without a GIL have by default.
 * From MicroPython 1.26 on the port says so itself, in these words. */
#define MICROPY_PY_THREAD_RECURSIVE_MUTEX (MICROPY_PY_THREAD)

/* With a GIL, Ctrl-C cannot raise from inside the signal handler: the handler may run while
 * another thread holds the GIL. It is raised at the main thread's next opportunity instead. */
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR (0)

/* As on the chips, the buffer for exceptions raised while the heap is locked is the program's to
 * give, with alloc_emergency_exception_buf(). */
#undef MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (0)

/* heap_locked() joins heap_lock() and heap_unlock(): the data path is tested with the heap
 * locked, and tests ask whether it is. */
#define MICROPY_PY_MICROPYTHON_HEAP_LOCKED (1)

/* gc.threshold(): when to collect is the service's decision. */
#define MICROPY_GC_ALLOC_THRESHOLD (1)

/* As on the chips, a collection goes through the heap once. */
#define MICROPY_ALLOC_GC_STACK_SIZE (192)

/* As the ESP32 port has it, the heap would grow by itself; fixed_heap.c keeps it from that. */
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)
#include <stdlib.h> /* MicroPython's default of MP_PLAT_ALLOC_HEAP is malloc() */

/* Modules come from the image, never from what a user of this computer has installed for another
 * MicroPython; unixport.c keeps the current folder out. */
#define MICROPY_PY_SYS_PATH_DEFAULT ".frozen"

/* What the REPL's banner and sys.implementation call this machine. */
#define MICROPY_BANNER_MACHINE "Spinet SIM"
