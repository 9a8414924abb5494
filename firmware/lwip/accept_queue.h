/* Who has finished his handshake and was not accepted yet. Private to the core. */
#ifndef ACCEPT_QUEUE_H
#define ACCEPT_QUEUE_H

#include "entry.h"

/* The next one in the order of their coming; ERR_WOULDBLOCK when nobody waits. */
err_t waiting_take(entry_t *listener, struct netconn **conn);

/* Fetches who came since the last time. */
void waiting_fetch(entry_t *listener);

/* Resets them all; the listener takes nobody any more. */
void waiting_refuse(entry_t *listener);

#endif
