/* In place of MicroPython's own: without an interpreter nothing is pending. */

#define mp_event_handle_nowait()
#define mp_sched_lock()
#define mp_sched_unlock()
