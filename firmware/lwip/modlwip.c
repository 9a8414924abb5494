/*
 * The `netconn` module: netconn.h for Python.
 *
 * The functions take and give small integers and buffers of the caller's and allocate nothing: they
 * are the TCP stack's contract (modules/spinet/tcp/stack.py) but for shut(). Errors are returned, not
 * raised; only bytes that are not inside a buffer raise ValueError.
 */
#include "buffer_span.h"
#include "netconn.h"
#include "platform.h"
#include "soft_reset.h"

#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/objstr.h"
#include "py/runtime.h"

#include "lwip/err.h"
#include "lwip/init.h"

/* A wait is cut into slices of this length, so that Ctrl-C and scheduled functions get their turn. */
#define WAIT_SLICE_MS 250

/* ---- arguments ---- */

static mp_obj_t small(int value) {
    return MP_OBJ_NEW_SMALL_INT(value);
}

/* The stack's contract has no ERR_ARG: a handle that is over is ERR_CLSD to calls, nothing to counts. */
static mp_obj_t result(int value) {
    return small(value == ERR_ARG ? ERR_CLSD : value);
}

static mp_obj_t count(int value) {
    return small(value < 0 ? 0 : value);
}

/* Four octets as they are in memory: beyond a small integer, and maybe negative. */
static uint32_t get_ip(mp_obj_t address) {
    return (uint32_t)mp_obj_get_int_truncated(address);
}

/* ---- module: start and stop ---- */

static stop_t soft_reset_stop = { .function = nc_stop };

/* start(close_ms, connect_ms, half_open_ms): once before anything else; again only changes the times. */
static mp_obj_t netconn_start(mp_obj_t close_ms, mp_obj_t connect_ms, mp_obj_t half_open_ms) {
    nc_times_t times = {
        .close_ms = (uint32_t)mp_obj_get_int(close_ms),
        .connect_ms = (uint32_t)mp_obj_get_int(connect_ms),
        .half_open_ms = (uint32_t)mp_obj_get_int(half_open_ms),
    };
    int error = platform_stack_ready();
    if (error) {
        mp_raise_OSError(error);
    }
    at_soft_reset(&soft_reset_stop);
    return small(nc_start(&times));
}
static MP_DEFINE_CONST_FUN_OBJ_3(netconn_start_obj, netconn_start);

static mp_obj_t netconn_stop(void) {
    nc_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(netconn_stop_obj, netconn_stop);

/* ---- module: opening and ending ---- */

static mp_obj_t netconn_listen(mp_obj_t ip, mp_obj_t port, mp_obj_t backlog) {
    return small(nc_listen(get_ip(ip), (uint16_t)mp_obj_get_int(port), mp_obj_get_int(backlog)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(netconn_listen_obj, netconn_listen);

static mp_obj_t netconn_accept(mp_obj_t handle) {
    return result(nc_accept(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_accept_obj, netconn_accept);

static mp_obj_t netconn_connect(mp_obj_t ip, mp_obj_t port) {
    return small(nc_connect(get_ip(ip), (uint16_t)mp_obj_get_int(port)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(netconn_connect_obj, netconn_connect);

static mp_obj_t netconn_addresses(mp_obj_t handle, mp_obj_t into) {
    return result(nc_addresses(mp_obj_get_int(handle), buffer_span(into, MP_BUFFER_WRITE, 0, 8)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(netconn_addresses_obj, netconn_addresses);

static mp_obj_t netconn_close(mp_obj_t handle) {
    return result(nc_close(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_close_obj, netconn_close);

static mp_obj_t netconn_abort(mp_obj_t handle) {
    return result(nc_abort(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_abort_obj, netconn_abort);

/* ---- module: options ---- */

static mp_obj_t netconn_linger(mp_obj_t handle, mp_obj_t seconds) {
    return result(nc_linger(mp_obj_get_int(handle), mp_obj_get_int(seconds)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(netconn_linger_obj, netconn_linger);

/* keepalive(handle, idle_s, interval_s, count) */
static mp_obj_t netconn_keepalive(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    return result(nc_keepalive(mp_obj_get_int(args[0]), mp_obj_get_int(args[1]),
        mp_obj_get_int(args[2]), mp_obj_get_int(args[3])));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(netconn_keepalive_obj, 4, 4, netconn_keepalive);

/* ---- module: data ---- */

static mp_obj_t netconn_readable(mp_obj_t handle) {
    return count(nc_readable(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_readable_obj, netconn_readable);

/* read(handle, buffer, offset, n) */
static mp_obj_t netconn_read(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *into = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    return result(nc_read(mp_obj_get_int(args[0]), into, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(netconn_read_obj, 4, 4, netconn_read);

static mp_obj_t netconn_recved(mp_obj_t handle, mp_obj_t n) {
    return result(nc_recved(mp_obj_get_int(handle), mp_obj_get_int(n)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(netconn_recved_obj, netconn_recved);

static mp_obj_t netconn_shutdown_rx(mp_obj_t handle) {
    return result(nc_shutdown_rx(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_shutdown_rx_obj, netconn_shutdown_rx);

/* write(handle, buffer, offset, n, more); more is 0, 1 or 2: NC_PUSH, NC_FLUSH, NC_GATHER */
static mp_obj_t netconn_write(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *from = buffer_span(args[1], MP_BUFFER_READ, mp_obj_get_int(args[2]), n);
    return result(nc_write(mp_obj_get_int(args[0]), from, n, mp_obj_get_int(args[4])));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(netconn_write_obj, 5, 5, netconn_write);

static mp_obj_t netconn_in_flight(mp_obj_t handle) {
    return count(nc_in_flight(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_in_flight_obj, netconn_in_flight);

/* ---- module: events ---- */

static mp_obj_t netconn_events(mp_obj_t handle) {
    return count(nc_events(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_events_obj, netconn_events);

static mp_obj_t netconn_error(mp_obj_t handle) {
    return result(nc_error(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_error_obj, netconn_error);

static mp_obj_t netconn_pending(void) {
    return small(nc_pending());
}
static MP_DEFINE_CONST_FUN_OBJ_0(netconn_pending_obj, netconn_pending);

static mp_obj_t netconn_spare(void) {
    return small(nc_spare());
}
static MP_DEFINE_CONST_FUN_OBJ_0(netconn_spare_obj, netconn_spare);

static mp_obj_t netconn_overlook(mp_obj_t map) {
    nc_overlook((uint32_t)mp_obj_get_int(map));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_overlook_obj, netconn_overlook);

static int wait_slice(mp_int_t ms) {
    MP_THREAD_GIL_EXIT();
    int woken = nc_wait(ms < 0 || ms > WAIT_SLICE_MS ? WAIT_SLICE_MS : ms);
    MP_THREAD_GIL_ENTER();
    nc_tidy();
    mp_handle_pending(true);
    return woken;
}

/* wait(ms): the other threads run meanwhile. */
static mp_obj_t netconn_wait(mp_obj_t ms_in) {
    mp_int_t ms = mp_obj_get_int(ms_in);
    mp_uint_t started = mp_hal_ticks_ms();
    mp_int_t left = ms;
    int woken;
    do {
        woken = wait_slice(left);
        left = ms < 0 ? ms : ms - (mp_int_t)(mp_hal_ticks_ms() - started);
    } while (!woken && (ms < 0 || left > 0));
    return small(woken);
}
static MP_DEFINE_CONST_FUN_OBJ_1(netconn_wait_obj, netconn_wait);

static mp_obj_t netconn_wake(void) {
    nc_wake();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(netconn_wake_obj, netconn_wake);

/* stats(): a tuple in the order of netconn.h. For people; it allocates. */
static mp_obj_t netconn_stats(void) {
    uint32_t stats[NC_STATS];
    mp_obj_t items[NC_STATS];
    nc_stats(stats);
    for (int i = 0; i < NC_STATS; i++) {
        items[i] = mp_obj_new_int_from_uint(stats[i]);
    }
    return mp_obj_new_tuple(NC_STATS, items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(netconn_stats_obj, netconn_stats);

/* ---- the module ---- */

static const MP_DEFINE_STR_OBJ(lwip_version_obj, LWIP_VERSION_STRING);

static const mp_rom_map_elem_t netconn_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_netconn) },
    { MP_ROM_QSTR(MP_QSTR_LWIP_VERSION), MP_ROM_PTR(&lwip_version_obj) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&netconn_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&netconn_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_listen), MP_ROM_PTR(&netconn_listen_obj) },
    { MP_ROM_QSTR(MP_QSTR_accept), MP_ROM_PTR(&netconn_accept_obj) },
    { MP_ROM_QSTR(MP_QSTR_connect), MP_ROM_PTR(&netconn_connect_obj) },
    { MP_ROM_QSTR(MP_QSTR_addresses), MP_ROM_PTR(&netconn_addresses_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&netconn_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_abort), MP_ROM_PTR(&netconn_abort_obj) },
    { MP_ROM_QSTR(MP_QSTR_linger), MP_ROM_PTR(&netconn_linger_obj) },
    { MP_ROM_QSTR(MP_QSTR_keepalive), MP_ROM_PTR(&netconn_keepalive_obj) },
    { MP_ROM_QSTR(MP_QSTR_readable), MP_ROM_PTR(&netconn_readable_obj) },
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&netconn_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_recved), MP_ROM_PTR(&netconn_recved_obj) },
    { MP_ROM_QSTR(MP_QSTR_shutdown_rx), MP_ROM_PTR(&netconn_shutdown_rx_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&netconn_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_in_flight), MP_ROM_PTR(&netconn_in_flight_obj) },
    { MP_ROM_QSTR(MP_QSTR_events), MP_ROM_PTR(&netconn_events_obj) },
    { MP_ROM_QSTR(MP_QSTR_error), MP_ROM_PTR(&netconn_error_obj) },
    { MP_ROM_QSTR(MP_QSTR_pending), MP_ROM_PTR(&netconn_pending_obj) },
    { MP_ROM_QSTR(MP_QSTR_spare), MP_ROM_PTR(&netconn_spare_obj) },
    { MP_ROM_QSTR(MP_QSTR_overlook), MP_ROM_PTR(&netconn_overlook_obj) },
    { MP_ROM_QSTR(MP_QSTR_wait), MP_ROM_PTR(&netconn_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_wake), MP_ROM_PTR(&netconn_wake_obj) },
    { MP_ROM_QSTR(MP_QSTR_stats), MP_ROM_PTR(&netconn_stats_obj) },
};
static MP_DEFINE_CONST_DICT(netconn_globals, netconn_globals_table);

const mp_obj_module_t netconn_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&netconn_globals,
};

MP_REGISTER_MODULE(MP_QSTR_netconn, netconn_user_cmodule);
