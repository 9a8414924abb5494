/*
 * lwIP on this computer, with the options that it has on the chips.
 *
 * What boards/chip/sdkconfig.chip sets is used by its name; lwip.mk makes sdkconfig.h of it. "IDF"
 * means: the value of ESP-IDF's lwipopts.h with the defaults of its Kconfig. `make check-idf` compares
 * them all, but for the last section, which is what only this computer needs.
 */
#ifndef SPINET_LWIPOPTS_H
#define SPINET_LWIPOPTS_H

#include "sdkconfig.h"

/* ---- how the stack is locked ------------------------------------------------------------- */

/* lwip.mk can be told to build without it, which is how ESP-IDF comes. */
#ifndef LWIP_TCPIP_CORE_LOCKING
#define LWIP_TCPIP_CORE_LOCKING CONFIG_LWIP_TCPIP_CORE_LOCKING
#endif
#define LWIP_TCPIP_CORE_LOCKING_INPUT 0 /* IDF: off; frames go through the mailbox */
#define SYS_LIGHTWEIGHT_PROT 1          /* IDF: always on */
#define LWIP_NETCONN_SEM_PER_THREAD 1   /* IDF: always on */
#define LWIP_NETCONN_FULLDUPLEX 1       /* IDF: always on; it decides how a netconn may be deleted */

/* ---- memory: the heap is the only limit, but for the PCBs -------------------------------- */

#define MEMP_MEM_MALLOC 1        /* IDF: MEMP_NUM_* pools do not exist */
#define MEMP_NUM_TCP_PCB CONFIG_LWIP_MAX_ACTIVE_TCP /* the fork counts them; here heap.c does */
/* Without pools these limit nothing. */
#define MEMP_NUM_TCP_PCB_LISTEN CONFIG_LWIP_MAX_LISTENING_TCP
#define MEMP_NUM_NETCONN CONFIG_LWIP_MAX_SOCKETS
#define MEMP_NUM_UDP_PCB 16      /* IDF */
#define MEMP_NUM_RAW_PCB 16      /* IDF */

/* ---- IP ----------------------------------------------------------------------------------- */

#define LWIP_IPV4 1
#define LWIP_IPV6 1     /* IDF: on, so ip_addr_t is the tagged structure */
#define LWIP_IPV6_MLD 1
#define LWIP_IPV6_REASS 0 /* IDF */
#define LWIP_ND6_NUM_NEIGHBORS 5 /* IDF */
#define MEMP_NUM_ND6_QUEUE 3     /* IDF */
#define IP_REASSEMBLY 0 /* IDF */
#define IP_DEFAULT_TTL 64 /* IDF */
#define IP_FRAG 1       /* IDF */
#define LWIP_ICMP 1
#define LWIP_RAW 1      /* IDF */
#define LWIP_UDP 1
#define LWIP_DNS 1      /* IDF */
#define DNS_MAX_SERVERS 3 /* IDF */
#define LWIP_DNS_SUPPORT_MDNS_QUERIES 1 /* IDF */
#define LWIP_IGMP 1     /* IDF */
#define ARP_QUEUEING 1  /* IDF: the first SYN of a connect waits for ARP */
#define CHECKSUM_CHECK_IP 0  /* IDF: off, the WiFi frame check has seen the frame */
#define CHECKSUM_CHECK_UDP 0 /* IDF */

/* ---- TCP ---------------------------------------------------------------------------------- */

#define LWIP_TCP 1
#define TCP_MSS 1440              /* IDF */
#define TCP_WND CONFIG_LWIP_TCP_WND_DEFAULT
#define TCP_SND_BUF CONFIG_LWIP_TCP_SND_BUF_DEFAULT
#define TCP_OVERSIZE TCP_MSS      /* IDF: LWIP_TCP_OVERSIZE_MSS */
#define TCP_QUEUE_OOSEQ 1         /* IDF */
#define TCP_OOSEQ_MAX_PBUFS 4     /* IDF */
#define TCP_MAXRTX 12             /* IDF */
#define TCP_SYNMAXRTX 12          /* IDF, with its high-speed retransmission */
#define LWIP_TCP_RTO_TIME 1500    /* IDF; a name of the fork, see tools/fetch_lwip.py */
#define TCP_TMR_INTERVAL 250      /* IDF */
#define TCP_MSL CONFIG_LWIP_TCP_MSL
#define TCP_FIN_WAIT_TIMEOUT 20000 /* IDF */
#define TCP_LISTEN_BACKLOG 1      /* IDF */
#define LWIP_TCP_KEEPALIVE 1      /* IDF */
#define LWIP_TCP_SACK_OUT 0       /* IDF */
#define LWIP_WND_SCALE 0          /* IDF */
#define LWIP_CALLBACK_API 1

/* ---- netconn and sockets ------------------------------------------------------------------ */

#define LWIP_NETCONN 1
#define LWIP_SOCKET 1             /* IDF: on, so a netconn has its `socket` field */
#define LWIP_COMPAT_SOCKETS 0     /* the C library's sockets are the peers' here */
#define LWIP_POSIX_SOCKETS_IO_NAMES 0
#define LWIP_SO_SNDTIMEO 1        /* IDF */
#define LWIP_SO_RCVTIMEO 1        /* IDF */
#define LWIP_SO_LINGER CONFIG_LWIP_SO_LINGER
#define LWIP_SO_RCVBUF 0          /* IDF */
#define SO_REUSE 1                /* IDF */
#define SO_REUSE_RXTOALL 1        /* IDF */
#define LWIP_NETIF_API 1

/* ---- mailboxes; arch/sys_arch.c honours these sizes --------------------------------------- */

#define TCPIP_MBOX_SIZE CONFIG_LWIP_TCPIP_RECVMBOX_SIZE
#define DEFAULT_TCP_RECVMBOX_SIZE CONFIG_LWIP_TCP_RECVMBOX_SIZE
#define DEFAULT_ACCEPTMBOX_SIZE CONFIG_LWIP_TCP_ACCEPTMBOX_SIZE
#define DEFAULT_UDP_RECVMBOX_SIZE 6 /* IDF */
#define DEFAULT_RAW_RECVMBOX_SIZE 6 /* IDF */

/* ---- interfaces --------------------------------------------------------------------------- */

#define LWIP_HAVE_LOOPIF 1          /* IDF */
#define LWIP_NETIF_LOOPBACK 1       /* IDF */
#define LWIP_LOOPBACK_MAX_PBUFS 8   /* IDF */
#define LWIP_NETIF_TX_SINGLE_PBUF 1 /* IDF: the WiFi driver takes one buffer per frame */
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1 /* IDF */

/* ---- only here ---------------------------------------------------------------------------- */

#define MEM_CUSTOM_ALLOCATOR 1 /* heap.c: the C library's heap, as IDF has it, but it can refuse */
#define MEM_CUSTOM_MALLOC heap_malloc
#define MEM_CUSTOM_CALLOC heap_calloc
#define MEM_CUSTOM_FREE heap_free
#define MEM_ALIGNMENT 8 /* a pointer's size */
#define LWIP_DHCP 0     /* the TAP device gets a fixed address */
#define LWIP_STATS 0
#define LWIP_TIMEVAL_PRIVATE 0
#define TCPIP_THREAD_NAME "tiT"
#define LWIP_MARK_TCPIP_THREAD() sys_mark_tcpip_thread()
void sys_check_core_locked(void);
#define LWIP_ASSERT_CORE_LOCKED() sys_check_core_locked() /* ends the process */

#endif
