/*
 * What has to be stopped before Python starts afresh in the same process: a list of functions.
 *
 * Only threads that hold the GIL may call these.
 */
#ifndef STOPS_H
#define STOPS_H

/* One function of the list; static, as the list takes no memory of its own. */
typedef struct stop {
    void (*function)(void); /* may find nothing left to stop */
    struct stop *next;      /* the list's */
} stop_t;

/* Lists a function until it was run; one that is listed already stays where it is. */
void stops_add(stop_t *stop);

/* Runs all, the latest first: it may use what was started before it. Each is off the list by then. */
void stops_run(void);

#endif
