/* How large the structures of lwIP are that a connection takes: each array is as long as one of them.
 * Compiled, never linked; the sizes are read off the object. */
#include "lwip/api.h"
#include "lwip/pbuf.h"
#include "lwip/priv/tcp_priv.h"

char size_of_tcp_pcb[sizeof(struct tcp_pcb)];
char size_of_tcp_pcb_listen[sizeof(struct tcp_pcb_listen)];
char size_of_netconn[sizeof(struct netconn)];
char size_of_pbuf[sizeof(struct pbuf)];
