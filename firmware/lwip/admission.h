/* Which connections may begin: how old an unfinished handshake may become, and what memory may be taken.
 * Private to the core. */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "lwip/tcp.h"

#define ADMISSION_INTERVAL_MS 250

/* lwIP's default, which listeners and connections keep: equal ones never displace each other. */
#define PRIORITY_LIVE TCP_PRIO_NORMAL

/* Bytes of the heap that are never given away. Frames that come with acknowledgements take them for a
 * moment, and so do ARP, DHCP, DNS and lwIP's timers. */
#define MEMORY_RESERVE 8192

/* What one more connection takes: a window full of frames, a PCB, a netconn, mailboxes. */
#define CONNECTION_MEMORY (TCP_WND + TCP_WND / 8 + 1024)

/* Bytes of the heap that may be taken now: what is free, less the reserve, less what peers may send into
 * the windows that they were told. Inside in_stack() only. */
int admission_spare(void);

/* From now on a SYN that finds no PCB is counted and dropped. lwIP drops it too, but also puts an error
 * into the accept mailbox. While the application does not accept, a few of these errors fill the mailbox,
 * and lwIP then resets each connection that completes its handshake. Inside in_stack() only. */
void admission_guard(struct tcp_pcb_listen *listener);

/* Ends what is too old, at most every ADMISSION_INTERVAL_MS and only while a listener or an outgoing
 * attempt exists. */
void admission_step(void);

/* How many handshakes of our listeners are under way. Inside in_stack() only. */
int admission_half_open(void);

#endif
