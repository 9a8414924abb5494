/* Clients that use the port of a connection in TIME-WAIT again. Private to the core. */
#ifndef TIME_WAIT_H
#define TIME_WAIT_H

#include "lwip/err.h"

/* From now on such a client is served. ERR_MEM: it gets lwIP's own answer. A second call does nothing. */
err_t time_wait_start(void);

void time_wait_stop(void);

#endif
