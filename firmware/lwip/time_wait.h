/* Serves clients that connect from the port of a connection in TIME-WAIT. Private to the core. */
#ifndef TIME_WAIT_H
#define TIME_WAIT_H

#include "lwip/err.h"

/* Idempotent. ERR_MEM: such a client gets lwIP's own answer. */
err_t time_wait_start(void);

void time_wait_stop(void);

#endif
