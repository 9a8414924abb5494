/* Who may have a PCB: ageing of unfinished handshakes, both ways. Private to the core. */
#ifndef NETCONN_ADMISSION_H
#define NETCONN_ADMISSION_H

#define ADMISSION_INTERVAL_MS 250

/* What listeners and connections start with; equal ones never displace each other. */
#define PRIORITY_LIVE 64

/* Below are the dying (1) and the half-open (2), which only this module sets. */
#define PRIORITY_LOWEST 3

/* Looks once, at most every ADMISSION_INTERVAL_MS and only while something listens or connects. */
void admission_step(void);

/* Handshakes from outside under way for our listeners. Inside in_stack() only. */
int admission_half_open(void);

#endif
