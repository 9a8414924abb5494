/* Connections that completed their handshake and were not accepted yet. Private to the core. */
#ifndef ACCEPT_QUEUE_H
#define ACCEPT_QUEUE_H

#include "entry.h"

/* The oldest one; ERR_WOULDBLOCK when the queue is empty. */
err_t accept_queue_take(entry_t *listener, struct netconn **conn);

/* Resets every connection in the queue. The listener must already refuse new connections. */
void accept_queue_reset(entry_t *listener);

#endif
