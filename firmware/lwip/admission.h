/* Who may have a PCB: ageing of unfinished handshakes, both ways. Private to the core. */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "lwip/tcp.h"

#define ADMISSION_INTERVAL_MS 250

/* What listeners and connections have, which is lwIP's default: equal ones never displace each other. The
 * half-open come to 2, the dying have 1. */
#define PRIORITY_LIVE 64

/* Bytes of the heap that are never given away. Frames that come with acknowledgements take them for a
 * moment, and so do ARP, DHCP, DNS and lwIP's timers. */
#define MEMORY_RESERVE 8192

/* What another connection takes: a window full of frames, a PCB, a netconn, mailboxes. */
#define CONNECTION_MEMORY (TCP_WND + TCP_WND / 8 + 1024)

/* Bytes that may be taken of the heap now: what is free, less the reserve, less what peers may send into
 * the windows that they were told. Inside in_stack() only. */
int admission_spare(void);

/* From now on a SYN that finds no PCB is counted and otherwise ignored, as lwIP ignores it on the wire.
 * lwIP would also put an error into the accept mailbox for it; while nobody accepts, a few of them
 * fill it, and then whoever completes his handshake is reset. Inside in_stack() only. */
void admission_guard(struct tcp_pcb_listen *listener);

/* Looks once, at most every ADMISSION_INTERVAL_MS and only while something listens or connects. */
void admission_step(void);

/* Handshakes from outside under way for our listeners. Inside in_stack() only. */
int admission_half_open(void);

#endif
