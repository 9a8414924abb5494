/*
 * The `_spinet_lwip` module: netconn.h for Python.
 *
 * These functions, but for shut(), are the contract of a TCP stack (modules/spinet/tcp/stack.py). They take and
 * return small integers and the caller's buffers, and allocate nothing. Errors are returned, not raised; only
 * bytes that are not inside a buffer raise ValueError.
 */
#include "buffer_span.h"
#include "modlwip.h"
#include "netconn.h"
#include "platform.h"
#include "soft_reset.h"

#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/objstr.h"
#include "py/runtime.h"

#include "lwip/init.h"

/* A wait is cut into slices of this length, and Ctrl-C and scheduled functions run between them. */
#define WAIT_SLICE_MS 250

/* ---- module: start and stop ---- */

static stop_t soft_reset_stop = { .function = nc_stop };

/* start(close_ms, connect_ms, half_open_ms): before anything else; a second call only changes the times. */
static mp_obj_t mod_start(mp_obj_t close_ms, mp_obj_t connect_ms, mp_obj_t half_open_ms) {
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
static MP_DEFINE_CONST_FUN_OBJ_3(mod_start_obj, mod_start);

static mp_obj_t mod_stop(void) {
    nc_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_stop_obj, mod_stop);

/* ---- module: opening and ending ---- */

static mp_obj_t mod_listen(mp_obj_t ip, mp_obj_t port, mp_obj_t backlog) {
    return small(nc_listen(get_ip(ip), (uint16_t)mp_obj_get_int(port), mp_obj_get_int(backlog)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_listen_obj, mod_listen);

static mp_obj_t mod_accept(mp_obj_t handle) {
    return result(nc_accept(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_accept_obj, mod_accept);

static mp_obj_t mod_connect(mp_obj_t ip, mp_obj_t port) {
    return small(nc_connect(get_ip(ip), (uint16_t)mp_obj_get_int(port)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_connect_obj, mod_connect);

static mp_obj_t mod_addresses(mp_obj_t handle, mp_obj_t into) {
    return result(nc_addresses(mp_obj_get_int(handle), buffer_span(into, MP_BUFFER_WRITE, 0, 8)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_addresses_obj, mod_addresses);

static mp_obj_t mod_close(mp_obj_t handle) {
    return result(nc_close(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_close_obj, mod_close);

static mp_obj_t mod_abort(mp_obj_t handle) {
    return result(nc_abort(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_abort_obj, mod_abort);

/* ---- module: options ---- */

static mp_obj_t mod_linger(mp_obj_t handle, mp_obj_t seconds) {
    return result(nc_linger(mp_obj_get_int(handle), mp_obj_get_int(seconds)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_linger_obj, mod_linger);

/* keepalive(handle, idle_s, interval_s, count) */
static mp_obj_t mod_keepalive(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    return result(nc_keepalive(mp_obj_get_int(args[0]), mp_obj_get_int(args[1]),
        mp_obj_get_int(args[2]), mp_obj_get_int(args[3])));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_keepalive_obj, 4, 4, mod_keepalive);

/* ---- module: data ---- */

static mp_obj_t mod_readable(mp_obj_t handle) {
    return count(nc_readable(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_readable_obj, mod_readable);

/* read(handle, buffer, offset, n) */
static mp_obj_t mod_read(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *into = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    return result(nc_read(mp_obj_get_int(args[0]), into, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_read_obj, 4, 4, mod_read);

static mp_obj_t mod_recved(mp_obj_t handle, mp_obj_t n) {
    return result(nc_recved(mp_obj_get_int(handle), mp_obj_get_int(n)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_recved_obj, mod_recved);

static mp_obj_t mod_shutdown_rx(mp_obj_t handle) {
    return result(nc_shutdown_rx(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_shutdown_rx_obj, mod_shutdown_rx);

/* write(handle, buffer, offset, n, more): more is 0, 1 or 2 for NC_PUSH, NC_FLUSH, NC_GATHER */
static mp_obj_t mod_write(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *from = buffer_span(args[1], MP_BUFFER_READ, mp_obj_get_int(args[2]), n);
    return result(nc_write(mp_obj_get_int(args[0]), from, n, mp_obj_get_int(args[4])));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_write_obj, 5, 5, mod_write);

static mp_obj_t mod_in_flight(mp_obj_t handle) {
    return count(nc_in_flight(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_in_flight_obj, mod_in_flight);

/* ---- module: events ---- */

static mp_obj_t mod_events(mp_obj_t handle) {
    return count(nc_events(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_events_obj, mod_events);

static mp_obj_t mod_error(mp_obj_t handle) {
    return result(nc_error(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_error_obj, mod_error);

static mp_obj_t mod_pending(void) {
    return small(nc_pending());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_pending_obj, mod_pending);

static mp_obj_t mod_spare(void) {
    return small(nc_spare());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_spare_obj, mod_spare);

static mp_obj_t mod_overlook(mp_obj_t map) {
    nc_overlook((uint32_t)mp_obj_get_int(map));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_overlook_obj, mod_overlook);

static int wait_slice(mp_int_t ms) {
    MP_THREAD_GIL_EXIT();
    int woken = nc_wait(ms < 0 || ms > WAIT_SLICE_MS ? WAIT_SLICE_MS : ms);
    MP_THREAD_GIL_ENTER();
    nc_tidy();
    mp_handle_pending(true);
    return woken;
}

/* wait(ms): releases the GIL. */
static mp_obj_t mod_wait(mp_obj_t ms_in) {
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
static MP_DEFINE_CONST_FUN_OBJ_1(mod_wait_obj, mod_wait);

static mp_obj_t mod_wake(void) {
    nc_wake();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_wake_obj, mod_wake);

/* stats(): a tuple in the order of netconn.h, for the REPL. Allocates. */
static mp_obj_t mod_stats(void) {
    uint32_t stats[NC_STATS];
    mp_obj_t items[NC_STATS];
    nc_stats(stats);
    for (int i = 0; i < NC_STATS; i++) {
        items[i] = mp_obj_new_int_from_uint(stats[i]);
    }
    return mp_obj_new_tuple(NC_STATS, items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_stats_obj, mod_stats);

/* ---- the module ---- */

static const MP_DEFINE_STR_OBJ(lwip_version_obj, LWIP_VERSION_STRING);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_lwip) },
    { MP_ROM_QSTR(MP_QSTR_LWIP_VERSION), MP_ROM_PTR(&lwip_version_obj) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&mod_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&mod_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_listen), MP_ROM_PTR(&mod_listen_obj) },
    { MP_ROM_QSTR(MP_QSTR_accept), MP_ROM_PTR(&mod_accept_obj) },
    { MP_ROM_QSTR(MP_QSTR_connect), MP_ROM_PTR(&mod_connect_obj) },
    { MP_ROM_QSTR(MP_QSTR_addresses), MP_ROM_PTR(&mod_addresses_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&mod_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_abort), MP_ROM_PTR(&mod_abort_obj) },
    { MP_ROM_QSTR(MP_QSTR_linger), MP_ROM_PTR(&mod_linger_obj) },
    { MP_ROM_QSTR(MP_QSTR_keepalive), MP_ROM_PTR(&mod_keepalive_obj) },
    { MP_ROM_QSTR(MP_QSTR_readable), MP_ROM_PTR(&mod_readable_obj) },
    { MP_ROM_QSTR(MP_QSTR_read), MP_ROM_PTR(&mod_read_obj) },
    { MP_ROM_QSTR(MP_QSTR_recved), MP_ROM_PTR(&mod_recved_obj) },
    { MP_ROM_QSTR(MP_QSTR_shutdown_rx), MP_ROM_PTR(&mod_shutdown_rx_obj) },
    { MP_ROM_QSTR(MP_QSTR_write), MP_ROM_PTR(&mod_write_obj) },
    { MP_ROM_QSTR(MP_QSTR_in_flight), MP_ROM_PTR(&mod_in_flight_obj) },
    { MP_ROM_QSTR(MP_QSTR_events), MP_ROM_PTR(&mod_events_obj) },
    { MP_ROM_QSTR(MP_QSTR_error), MP_ROM_PTR(&mod_error_obj) },
    { MP_ROM_QSTR(MP_QSTR_pending), MP_ROM_PTR(&mod_pending_obj) },
    { MP_ROM_QSTR(MP_QSTR_spare), MP_ROM_PTR(&mod_spare_obj) },
    { MP_ROM_QSTR(MP_QSTR_overlook), MP_ROM_PTR(&mod_overlook_obj) },
    { MP_ROM_QSTR(MP_QSTR_wait), MP_ROM_PTR(&mod_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_wake), MP_ROM_PTR(&mod_wake_obj) },
    { MP_ROM_QSTR(MP_QSTR_stats), MP_ROM_PTR(&mod_stats_obj) },
    { MP_ROM_QSTR(MP_QSTR_udp), MP_ROM_PTR(&spinet_lwip_datagrams) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_lwip_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_lwip, spinet_lwip_module);
