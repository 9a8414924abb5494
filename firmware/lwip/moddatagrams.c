/*
 * `_spinet_lwip.udp`: datagrams.h for Python, the contract of UDP (modules/spinet/udp/datagrams.py).
 *
 * Nothing here allocates. Errors are returned, not raised; only bytes that are not inside a buffer raise ValueError.
 */
#include "buffer_span.h"
#include "datagrams.h"
#include "modlwip.h"
#include "ping.h"

#include "py/runtime.h"

/* bind(ip, port, shared) */
static mp_obj_t mod_bind(mp_obj_t ip, mp_obj_t port, mp_obj_t shared) {
    return small(ud_bind(get_ip(ip), (uint16_t)mp_obj_get_int(port), mp_obj_is_true(shared)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_bind_obj, mod_bind);

/* send(handle, peer, buffer, offset, n) */
static mp_obj_t mod_send(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[4]);
    const uint8_t *peer = buffer_span(args[1], MP_BUFFER_READ, 0, UD_PEER_SIZE);
    const uint8_t *from = buffer_span(args[2], MP_BUFFER_READ, mp_obj_get_int(args[3]), n);
    return result(ud_send(mp_obj_get_int(args[0]), peer, from, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_send_obj, 5, 5, mod_send);

static mp_obj_t mod_length(mp_obj_t handle) {
    return result(ud_length(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_length_obj, mod_length);

/* receive(handle, buffer, offset, n, sender) */
static mp_obj_t mod_receive(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *into = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    uint8_t *sender = buffer_span(args[4], MP_BUFFER_WRITE, 0, UD_PEER_SIZE);
    return result(ud_receive(mp_obj_get_int(args[0]), into, n, sender));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_receive_obj, 5, 5, mod_receive);

static mp_obj_t mod_dropped(mp_obj_t handle) {
    return result(ud_dropped(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_dropped_obj, mod_dropped);

/* join(handle, group, own) */
static mp_obj_t mod_join(mp_obj_t handle, mp_obj_t group, mp_obj_t own) {
    return result(ud_join(mp_obj_get_int(handle), get_ip(group), get_ip(own)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_join_obj, mod_join);

static mp_obj_t mod_leave(mp_obj_t handle) {
    return result(ud_leave(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_leave_obj, mod_leave);

static mp_obj_t mod_close(mp_obj_t handle) {
    return result(ud_close(mp_obj_get_int(handle)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_close_obj, mod_close);

static mp_obj_t mod_pending(void) {
    return small(ud_pending());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_pending_obj, mod_pending);

/* ping(ip, ttl) */
static mp_obj_t mod_ping(mp_obj_t ip, mp_obj_t ttl) {
    return small(ping_send(get_ip(ip), (uint8_t)mp_obj_get_int(ttl)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_ping_obj, mod_ping);

static mp_obj_t mod_echo(void) {
    return small(ping_echo());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_echo_obj, mod_echo);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_udp) },
    { MP_ROM_QSTR(MP_QSTR_bind), MP_ROM_PTR(&mod_bind_obj) },
    { MP_ROM_QSTR(MP_QSTR_send), MP_ROM_PTR(&mod_send_obj) },
    { MP_ROM_QSTR(MP_QSTR_length), MP_ROM_PTR(&mod_length_obj) },
    { MP_ROM_QSTR(MP_QSTR_receive), MP_ROM_PTR(&mod_receive_obj) },
    { MP_ROM_QSTR(MP_QSTR_dropped), MP_ROM_PTR(&mod_dropped_obj) },
    { MP_ROM_QSTR(MP_QSTR_join), MP_ROM_PTR(&mod_join_obj) },
    { MP_ROM_QSTR(MP_QSTR_leave), MP_ROM_PTR(&mod_leave_obj) },
    { MP_ROM_QSTR(MP_QSTR_close), MP_ROM_PTR(&mod_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_pending), MP_ROM_PTR(&mod_pending_obj) },
    { MP_ROM_QSTR(MP_QSTR_ping), MP_ROM_PTR(&mod_ping_obj) },
    { MP_ROM_QSTR(MP_QSTR_echo), MP_ROM_PTR(&mod_echo_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_lwip_datagrams = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};
