# The files of lwIP and of its port for this computer; read by SIM's build and by the host tests.
#
# Set before including: LWIP_SOURCE (what tools/fetch_lwip.py made) and BUILD. Gives LWIP_C, LWIP_PORT_C,
# LWIP_CFLAGS and LWIP_LDFLAGS. All objects need LWIP_SDKCONFIG first. LWIP_CORE_LOCKING: 0 or 1, instead of
# what the chips have.

LWIP_PORT_DIR := $(dir $(lastword $(MAKEFILE_LIST)))

# What the chips' images set of lwIP, as ESP-IDF gives it to its lwipopts.h.
LWIP_SDKCONFIG := $(BUILD)/sdkconfig.h
$(LWIP_SDKCONFIG): $(LWIP_PORT_DIR)../../chip/sdkconfig.chip
	mkdir -p $(@D)
	sed -nE -e 's/^(CONFIG_LWIP_\w+)=/\1 /' -e 's/ y$$/ 1/' -e 's/ n$$/ 0/' -e 's/^CONFIG_LWIP_/#define &/p' $< >$@

LWIP_C := $(addprefix $(LWIP_SOURCE)/src/, \
    $(addprefix core/, def.c dns.c inet_chksum.c init.c ip.c mem.c memp.c netif.c pbuf.c raw.c stats.c \
        sys.c altcp.c altcp_alloc.c altcp_tcp.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c) \
    $(addprefix core/ipv4/, acd.c autoip.c dhcp.c etharp.c icmp.c igmp.c ip4.c ip4_addr.c ip4_frag.c) \
    $(addprefix core/ipv6/, dhcp6.c ethip6.c icmp6.c inet6.c ip6.c ip6_addr.c ip6_frag.c mld6.c nd6.c) \
    $(addprefix api/, api_lib.c api_msg.c err.c if_api.c netbuf.c netdb.c netifapi.c sockets.c tcpip.c) \
    netif/ethernet.c)

LWIP_PORT_C := $(addprefix $(LWIP_PORT_DIR), clock.c faults.c heap.c stack.c sys_arch.c tap_netif.c)

LWIP_CFLAGS := -I$(LWIP_PORT_DIR) -I$(BUILD) -I$(LWIP_PORT_DIR)../../../firmware/lwip \
    -isystem $(LWIP_SOURCE)/src/include \
    $(if $(LWIP_CORE_LOCKING),-DLWIP_TCPIP_CORE_LOCKING=$(LWIP_CORE_LOCKING))
LWIP_LDFLAGS := -Wl,--wrap=memp_malloc -Wl,--wrap=memp_free -Wl,--wrap=tcp_next_iss -lpthread
