/*
 * How connections and listeners end. Private to the core.
 *
 * An orphan is a PCB that lives on after its connection was closed and its handle freed.
 */
#ifndef ENDING_H
#define ENDING_H

#include "entry.h"

/* Sends FIN behind what is queued, and leaves the PCB as an orphan for at most `ms`. */
void ending_close(entry_t *entry, uint32_t ms);

/* RST; the PCB is freed before this returns. */
void ending_abort(entry_t *entry);

/* A listener: refuses new connections, and resets those that were not accepted yet. */
void ending_listener(entry_t *entry);

/* Resets the connection of a netconn that no entry has, and frees both. */
void ending_discard(struct netconn *conn);

void ending_abort_orphans(void);

/* How many orphans there are. Inside in_stack() only. */
int ending_orphans(void);

/* Receive callback that drops data, credits it to the peer's window, and reports a FIN. */
err_t ending_drop(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error);

/* Opens the peer's window as far as it goes, for data that nothing will read. Inside in_stack() only. */
void ending_open_window(struct tcp_pcb *pcb);

#endif
