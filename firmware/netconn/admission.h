/* Who may have a PCB: ageing of unfinished handshakes, both ways. Private to the core. */
#ifndef NETCONN_ADMISSION_H
#define NETCONN_ADMISSION_H

#include "lwip/tcp.h"

#define ADMISSION_INTERVAL_MS 250

/* What listeners and connections start with; equal ones never displace each other. */
#define PRIORITY_LIVE 64

/* Below are the dying (1) and the half-open (2), which only this module sets. */
#define PRIORITY_LOWEST 3

/* From now on a SYN that finds no PCB is counted and otherwise ignored, as lwIP ignores it on the wire.
 * lwIP would also put an error into the accept mailbox for it; while nobody accepts, a few of them
 * fill it, and then whoever completes his handshake is reset. Inside in_stack() only. */
void admission_guard(struct tcp_pcb_listen *listener);

/* Looks once, at most every ADMISSION_INTERVAL_MS and only while something listens or connects. */
void admission_step(void);

/* Handshakes from outside under way for our listeners. Inside in_stack() only. */
int admission_half_open(void);

#endif
