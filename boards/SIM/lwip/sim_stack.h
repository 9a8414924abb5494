/* SIM's additions to lwIP: a network interface, and waits that other descriptors end too. */
#ifndef SPINET_LWIP_SIM_STACK_H
#define SPINET_LWIP_SIM_STACK_H

#include <stdint.h>

/* Starts lwIP with an interface on the TAP device of this name; NULL: the loopback alone. Addresses
 * are four octets in memory order. Once per process, later calls change nothing. 0 or a positive
 * errno. */
int sim_stack_up(const char *tap, uint32_t ip, uint32_t netmask, uint32_t gateway);

/* From now on nc_wait() ends as nc_wake() would end it while `fd` has something to read. Application
 * thread only. 0 or a positive errno. */
int sim_watch(int fd);
void sim_unwatch(int fd);

#endif
