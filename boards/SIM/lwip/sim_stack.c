/* lwIP's way out of SIM: a TAP device of this computer. */
#include "sim_stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "heap.h"
#include "platform.h"
#include "stack.h"

/* What an ESP32-C3 that has joined has left for TCP: docs/hardware.md, Memory. */
#define CHIP_MEMORY 72704

/* An open TAP device, or -1 with errno set. Several queues, though one is used: tools/with_tap.py
 * keeps the device alive by another, which is detached. */
static int open_tap(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int sim_stack_up(const char *tap, uint32_t ip, uint32_t netmask, uint32_t gateway) {
    static bool is_up;
    if (is_up) {
        return 0;
    }
    int fd = tap == NULL ? -1 : open_tap(tap);
    if (tap != NULL && fd < 0) {
        return errno;
    }
    stack_config_t config = {.tap_fd = fd, .ip = ip, .netmask = netmask, .gateway = gateway};
    heap_limit_bytes(CHIP_MEMORY);
    stack_up(&config);
    is_up = true;
    return 0;
}

int platform_stack_ready(void) {
    return sim_stack_up(NULL, 0, 0, 0);
}
