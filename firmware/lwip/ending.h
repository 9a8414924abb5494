/* Connections that were closed but whose PCB is not gone yet. Private to the core. */
#ifndef ENDING_H
#define ENDING_H

#include "entry.h"

/* Sends FIN behind what is queued and lets the PCB live for at most `ms`. */
void dying_bury(entry_t *entry, uint32_t ms);

/* RST; the PCB is freed before this returns. */
void dying_abort(entry_t *entry);

/* A listener: refuses whoever comes from now on, and resets those who wait in the mailbox. */
void dying_refuse_all(entry_t *entry);

/* Frees a netconn that no entry owns, resetting its connection. */
void dying_discard(struct netconn *conn);

/* Aborts every dying PCB. */
void dying_abort_all(void);

/* How many there are. Inside in_stack() only. */
int dying_count(void);

/* Receive callback that drops data, credits it, and passes a FIN on. */
err_t dying_drop(void *arg, struct tcp_pcb *pcb, struct pbuf *data, err_t error);

/* Opens the peer's window as far as it goes: nobody will read what has come. In stack only. */
void dying_open_window(struct tcp_pcb *pcb);

#endif
