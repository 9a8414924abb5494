/* lwIP's network interface on a TAP device that the caller has opened. */
#ifndef SPINET_LWIP_TAP_NETIF_H
#define SPINET_LWIP_TAP_NETIF_H

#include "lwip/netif.h"

/* Init function for netif_add(); `state` is the open file descriptor of the TAP device (cast to
 * a pointer), opened with IFF_TAP | IFF_NO_PI. Starts one thread that reads frames. */
err_t tap_netif_init(struct netif *netif);

/* The thread has ended when this returns. The descriptor stays the caller's. */
void tap_netif_stop(void);

/* Frames that are held back now by the fault injector. */
int tap_netif_held(void);

#endif
