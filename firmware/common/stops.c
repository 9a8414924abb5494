#include "stops.h"

#include <stdbool.h>
#include <stddef.h>

static stop_t *latest;

static bool is_listed(const stop_t *stop) {
    const stop_t *other = latest;
    while (other != NULL && other != stop) {
        other = other->next;
    }
    return other != NULL;
}

void stops_add(stop_t *stop) {
    if (!is_listed(stop)) {
        stop->next = latest;
        latest = stop;
    }
}

void stops_run(void) {
    while (latest != NULL) {
        stop_t *stop = latest;
        latest = stop->next;
        stop->function();
    }
}
