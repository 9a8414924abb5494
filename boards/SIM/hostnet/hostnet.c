#include "hostnet.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sock_diag.h>
#include <linux/sockios.h>

#define NEVER_BLOCK_NOR_SIGNAL (MSG_DONTWAIT | MSG_NOSIGNAL)

static int answer(ssize_t result) {
    return result < 0 ? -errno : (int)result;
}

static int queue_size(int fd, unsigned long request) {
    int count = 0;
    return ioctl(fd, request, &count) < 0 ? -errno : count;
}

static bool is_gone(int fd) {
    struct tcp_info info;
    socklen_t size = sizeof(info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_CLOSE;
}

static int set_option(int fd, int level, int name, const void *value, socklen_t size) {
    return answer(setsockopt(fd, level, name, value, size));
}

static void put_u16_le(uint8_t *into, uint16_t value) {
    into[0] = (uint8_t)(value & 0xff);
    into[1] = (uint8_t)(value >> 8);
}

int hostnet_recv(int fd, uint8_t *buf, size_t n) {
    return answer(recv(fd, buf, n, NEVER_BLOCK_NOR_SIGNAL));
}

int hostnet_send(int fd, const uint8_t *buf, size_t n, bool more) {
    return answer(send(fd, buf, n, NEVER_BLOCK_NOR_SIGNAL | (more ? MSG_MORE : 0)));
}

/* A reset leaves the kernel's count of what was queued as it stood, so it is not asked alone. */
int hostnet_outq(int fd) {
    int count = queue_size(fd, SIOCOUTQ);
    return count > 0 && is_gone(fd) ? 0 : count;
}

int hostnet_inq(int fd) {
    return queue_size(fd, FIONREAD);
}

int hostnet_shutdown(int fd, int how) {
    return answer(shutdown(fd, how));
}

int hostnet_error(int fd) {
    int error = 0;
    socklen_t size = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? -errno : -error;
}

int hostnet_addresses(int fd, uint8_t *into) {
    struct sockaddr_in local, remote;
    socklen_t local_size = sizeof(local), remote_size = sizeof(remote);
    if (getsockname(fd, (struct sockaddr *)&local, &local_size) < 0
        || getpeername(fd, (struct sockaddr *)&remote, &remote_size) < 0) {
        return -errno;
    }
    if (local.sin_family != AF_INET || remote.sin_family != AF_INET) {
        return -EAFNOSUPPORT;
    }
    put_u16_le(into, ntohs(local.sin_port));
    put_u16_le(into + 2, ntohs(remote.sin_port));
    memcpy(into + 4, &remote.sin_addr, 4);
    return 0;
}

int hostnet_nodelay(int fd) {
    int on = 1;
    return set_option(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int hostnet_reset_on_close(int fd) {
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    return set_option(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

int hostnet_sendto(int fd, const uint8_t *peer, const uint8_t *buf, size_t n) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(peer[0] | peer[1] << 8))};
    memcpy(&to.sin_addr, peer + 2, 4);
    return answer(sendto(fd, buf, n, NEVER_BLOCK_NOR_SIGNAL, (struct sockaddr *)&to, sizeof(to)));
}

int hostnet_recvfrom(int fd, uint8_t *buf, size_t n, uint8_t *sender) {
    struct sockaddr_in from;
    socklen_t size = sizeof(from);
    int length = answer(recvfrom(fd, buf, n, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &size));
    if (length >= 0) {
        put_u16_le(sender, ntohs(from.sin_port));
        memcpy(sender + 2, &from.sin_addr, 4);
    }
    return length;
}

int hostnet_next_length(int fd) {
    return answer(recv(fd, NULL, 0, MSG_DONTWAIT | MSG_TRUNC | MSG_PEEK));
}

int hostnet_dropped(int fd) {
    uint32_t counts[SK_MEMINFO_VARS] = {0};
    socklen_t size = sizeof(counts);
    int failed = getsockopt(fd, SOL_SOCKET, SO_MEMINFO, counts, &size);
    return failed < 0 ? -errno : (int)(counts[SK_MEMINFO_DROPS] & INT32_MAX >> 2);
}

int hostnet_event(void) {
    return answer(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
}

int hostnet_event_set(int fd) {
    return eventfd_write(fd, 1) < 0 ? -errno : 0;
}

int hostnet_event_clear(int fd) {
    eventfd_t count;
    if (eventfd_read(fd, &count) < 0) {
        return -errno;
    }
    return count > INT_MAX ? INT_MAX : (int)count;
}

int hostnet_event_close(int fd) {
    return answer(close(fd));
}
