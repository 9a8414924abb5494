/* The functions to run before a soft reset. Only threads that hold the GIL may use the list. */
#ifndef STOPS_H
#define STOPS_H

/* One entry of the list. It has to be static, as the list allocates nothing. */
typedef struct stop {
    void (*function)(void); /* must do no harm when there is nothing to stop */
    struct stop *next;      /* the list's */
} stop_t;

/* Lists a function until it is run. A function that is listed already keeps its place. */
void stops_add(stop_t *stop);

/* Runs them all, the latest first, as what was started later may use what was started before. Each entry is off
 * the list before its function runs. */
void stops_run(void);

#endif
