/* Starts lwIP on this computer: the TCP/IP thread, loopback and, when there is one, the TAP device. */
#ifndef SPINET_LWIP_STACK_H
#define SPINET_LWIP_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* Addresses are four octets in memory order (network order). */
typedef struct {
    int tap_fd; /* open TAP device, or -1: loopback only */
    uint32_t ip;
    uint32_t netmask;
    uint32_t gateway;
} stack_config_t;

/* Once per process. Returns when the stack is ready to be called. */
void stack_up(const stack_config_t *config);

/* Ends the TAP thread. lwIP itself cannot be stopped; the process's end does that. */
void stack_down(void);

/* The link of the TAP interface goes down or comes back: the stack is told, frames are lost. */
void stack_link(bool up);

/* The interface itself goes down or up: no route to its network (ERR_RTE). */
void stack_interface(bool up);

/* Warps the clock and makes the TCP/IP thread compute its timers anew. */
void stack_warp(uint32_t factor);

/* How many PCBs are active: in one TCP state, or in any but TIME-WAIT and listening (-1). */
int stack_active_pcbs(int tcp_state);

#endif
