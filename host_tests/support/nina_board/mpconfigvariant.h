/* What the unix port has in it as a board with a NINA. */

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

#include "variants/mpconfigvariant_common.h"

/* The network and socket modules of the boards. */
#define MICROPY_PY_NETWORK (1)
#define MICROPY_PY_NETWORK_NINAW10 (1)
#define MICROPY_PY_NETWORK_HOSTNAME_DEFAULT "board"
#ifndef MICROPY_PY_SOCKET
#define MICROPY_PY_SOCKET (1)
#endif
#define MICROPY_PY_SOCKET_EXTENDED_STATE (1)
#define MICROPY_SCHEDULER_STATIC_NODES (1)

extern const struct _mp_obj_type_t mod_network_nic_type_nina;
#define MICROPY_PORT_NETWORK_INTERFACES \
    { MP_ROM_QSTR(MP_QSTR_WLAN), MP_ROM_PTR(&mod_network_nic_type_nina) },

/* select.poll() asks its objects, as on a board. */
#undef MICROPY_PY_SELECT_POSIX_OPTIMISATIONS
#define MICROPY_PY_SELECT_POSIX_OPTIMISATIONS (0)

/* Ctrl-C is raised where the program asks for it, not in the middle of a frame to the bus. */
#undef MICROPY_ASYNC_KBD_INTR
#define MICROPY_ASYNC_KBD_INTR (0)

#undef MICROPY_PY_MACHINE
#define MICROPY_PY_MACHINE (0)
#undef MICROPY_VFS_ROM
#define MICROPY_VFS_ROM (0)

/* Soft timers run in port.c, between two steps of a program. */
void port_timers(void);
#define MICROPY_VM_HOOK_LOOP port_timers();
#define MICROPY_VM_HOOK_RETURN port_timers();
#define MICROPY_INTERNAL_EVENT_HOOK port_timers()
