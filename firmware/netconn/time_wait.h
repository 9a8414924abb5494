/* Clients that use a port again whose last connection is in TIME-WAIT. Private to the core. */
#ifndef NETCONN_TIME_WAIT_H
#define NETCONN_TIME_WAIT_H

#include "lwip/err.h"

/* From now on such a client is served. ERR_MEM: lwIP's own answer stands. Calling it again does
 * nothing. */
err_t time_wait_start(void);

void time_wait_stop(void);

#endif
