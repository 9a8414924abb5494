/* One ping at a time: an ICMP echo request and its answer. The rules of netconn.h hold here too. */
#ifndef PING_H
#define PING_H

#include <stdint.h>

/* Sends an echo request, in whose place an earlier one is given up. 0, or ERR_RTE without a route, ERR_MEM. */
int ping_send(uint32_t ip, uint8_t ttl);

/* The milliseconds until the answer came, however often this is asked; ERR_WOULDBLOCK before. */
int ping_echo(void);

/* No answer is waited for any more. */
void ping_stop(void);

#endif
