/* One ping at a time: an ICMP echo request and its answer. The rules of netconn.h hold here too. */
#ifndef PING_H
#define PING_H

#include <stdint.h>

/* Sends an echo request; an earlier one is given up. 0, or ERR_RTE without a route, ERR_MEM. */
int ping_send(uint32_t ip, uint8_t ttl);

/* The milliseconds until the answer came, at every call; ERR_WOULDBLOCK before it came. */
int ping_echo(void);

/* Stops waiting for an answer. */
void ping_stop(void);

#endif
