/* In place of MicroPython's own: without an interpreter nothing is pending, and nothing raised. */

#include <stdlib.h>

#define mp_event_handle_nowait()
#define mp_sched_lock()
#define mp_sched_unlock()
#define mp_raise_ValueError(text) abort()
