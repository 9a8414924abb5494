/* Binding of hostnet: Python's arguments in, small integers out. An error of the operating
 * system is an answer; only a wrong argument raises. */

#include "buffer_span.h"
#include "hostnet.h"

#include "py/obj.h"
#include "py/runtime.h"

/* The count to receive, which is at least 1. */
static mp_int_t count_of(mp_obj_t object) {
    mp_int_t n = mp_obj_get_int(object);
    if (n == 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("a count of 0 would look like the end of the stream"));
    }
    return n;
}

/* recv(fd, buf, offset, n): bytes read, 0 at the end of the stream, or -errno. n is at least 1. */
static mp_obj_t hostnet_mod_recv(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = count_of(args[3]);
    uint8_t *at = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    return MP_OBJ_NEW_SMALL_INT(hostnet_recv(mp_obj_get_int(args[0]), at, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(hostnet_mod_recv_obj, 4, 4, hostnet_mod_recv);

/* send(fd, buf, offset, n, more=False): bytes taken, or -errno */
static mp_obj_t hostnet_mod_send(size_t n_args, const mp_obj_t *args) {
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *at = buffer_span(args[1], MP_BUFFER_READ, mp_obj_get_int(args[2]), n);
    bool more = n_args > 4 && mp_obj_is_true(args[4]);
    return MP_OBJ_NEW_SMALL_INT(hostnet_send(mp_obj_get_int(args[0]), at, n, more));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(hostnet_mod_send_obj, 4, 5, hostnet_mod_send);

/* outq(fd): bytes unsent and unacknowledged, or -errno */
static mp_obj_t hostnet_mod_outq(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_outq(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_outq_obj, hostnet_mod_outq);

/* inq(fd): bytes that recv can read, or -errno */
static mp_obj_t hostnet_mod_inq(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_inq(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_inq_obj, hostnet_mod_inq);

/* shutdown(fd, how): 0 or -errno; how is 0 for receiving, 1 for sending, 2 for both */
static mp_obj_t hostnet_mod_shutdown(mp_obj_t fd, mp_obj_t how) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_shutdown(mp_obj_get_int(fd), mp_obj_get_int(how)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(hostnet_mod_shutdown_obj, hostnet_mod_shutdown);

/* error(fd): the pending error as -errno, cleared by asking, or 0 */
static mp_obj_t hostnet_mod_error(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_error(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_error_obj, hostnet_mod_error);

/* addresses(fd, into): 0 and 8 bytes (local port u16 LE, remote port u16 LE, remote IPv4 address
 * in network order), or -errno with into untouched */
static mp_obj_t hostnet_mod_addresses(mp_obj_t fd, mp_obj_t into) {
    uint8_t *at = buffer_span(into, MP_BUFFER_WRITE, 0, HOSTNET_ADDRESSES_SIZE);
    return MP_OBJ_NEW_SMALL_INT(hostnet_addresses(mp_obj_get_int(fd), at));
}
static MP_DEFINE_CONST_FUN_OBJ_2(hostnet_mod_addresses_obj, hostnet_mod_addresses);

/* nodelay(fd): 0 or -errno */
static mp_obj_t hostnet_mod_nodelay(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_nodelay(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_nodelay_obj, hostnet_mod_nodelay);

/* reset_on_close(fd): 0 or -errno */
static mp_obj_t hostnet_mod_reset_on_close(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_reset_on_close(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_reset_on_close_obj, hostnet_mod_reset_on_close);

/* sendto(fd, peer, buf, offset, n): bytes sent, or -errno */
static mp_obj_t hostnet_mod_sendto(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[4]);
    const uint8_t *peer = buffer_span(args[1], MP_BUFFER_READ, 0, HOSTNET_PEER_SIZE);
    const uint8_t *at = buffer_span(args[2], MP_BUFFER_READ, mp_obj_get_int(args[3]), n);
    return MP_OBJ_NEW_SMALL_INT(hostnet_sendto(mp_obj_get_int(args[0]), peer, at, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(hostnet_mod_sendto_obj, 5, 5, hostnet_mod_sendto);

/* recvfrom(fd, buf, offset, n, sender): the datagram's length, above n when the rest was lost, or -errno */
static mp_obj_t hostnet_mod_recvfrom(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *at = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    uint8_t *sender = buffer_span(args[4], MP_BUFFER_WRITE, 0, HOSTNET_PEER_SIZE);
    return MP_OBJ_NEW_SMALL_INT(hostnet_recvfrom(mp_obj_get_int(args[0]), at, n, sender));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(hostnet_mod_recvfrom_obj, 5, 5, hostnet_mod_recvfrom);

/* next_length(fd): bytes of the next datagram, or -errno */
static mp_obj_t hostnet_mod_next_length(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_next_length(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_next_length_obj, hostnet_mod_next_length);

/* dropped(fd): datagrams that found the socket's buffer full, or -errno */
static mp_obj_t hostnet_mod_dropped(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_dropped(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_dropped_obj, hostnet_mod_dropped);

/* event(): a descriptor that is readable while it is set, or -errno */
static mp_obj_t hostnet_mod_event(void) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_event());
}
static MP_DEFINE_CONST_FUN_OBJ_0(hostnet_mod_event_obj, hostnet_mod_event);

/* event_set(fd): 0 or -errno */
static mp_obj_t hostnet_mod_event_set(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_event_set(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_event_set_obj, hostnet_mod_event_set);

/* event_clear(fd): how often it was set, -EAGAIN when it was not, or another -errno */
static mp_obj_t hostnet_mod_event_clear(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_event_clear(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_event_clear_obj, hostnet_mod_event_clear);

/* event_close(fd): 0 or -errno */
static mp_obj_t hostnet_mod_event_close(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(hostnet_event_close(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostnet_mod_event_close_obj, hostnet_mod_event_close);

static const mp_rom_map_elem_t hostnet_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_hostnet) },
    { MP_ROM_QSTR(MP_QSTR_recv), MP_ROM_PTR(&hostnet_mod_recv_obj) },
    { MP_ROM_QSTR(MP_QSTR_send), MP_ROM_PTR(&hostnet_mod_send_obj) },
    { MP_ROM_QSTR(MP_QSTR_outq), MP_ROM_PTR(&hostnet_mod_outq_obj) },
    { MP_ROM_QSTR(MP_QSTR_inq), MP_ROM_PTR(&hostnet_mod_inq_obj) },
    { MP_ROM_QSTR(MP_QSTR_shutdown), MP_ROM_PTR(&hostnet_mod_shutdown_obj) },
    { MP_ROM_QSTR(MP_QSTR_error), MP_ROM_PTR(&hostnet_mod_error_obj) },
    { MP_ROM_QSTR(MP_QSTR_addresses), MP_ROM_PTR(&hostnet_mod_addresses_obj) },
    { MP_ROM_QSTR(MP_QSTR_nodelay), MP_ROM_PTR(&hostnet_mod_nodelay_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset_on_close), MP_ROM_PTR(&hostnet_mod_reset_on_close_obj) },
    { MP_ROM_QSTR(MP_QSTR_sendto), MP_ROM_PTR(&hostnet_mod_sendto_obj) },
    { MP_ROM_QSTR(MP_QSTR_recvfrom), MP_ROM_PTR(&hostnet_mod_recvfrom_obj) },
    { MP_ROM_QSTR(MP_QSTR_next_length), MP_ROM_PTR(&hostnet_mod_next_length_obj) },
    { MP_ROM_QSTR(MP_QSTR_dropped), MP_ROM_PTR(&hostnet_mod_dropped_obj) },
    { MP_ROM_QSTR(MP_QSTR_event), MP_ROM_PTR(&hostnet_mod_event_obj) },
    { MP_ROM_QSTR(MP_QSTR_event_set), MP_ROM_PTR(&hostnet_mod_event_set_obj) },
    { MP_ROM_QSTR(MP_QSTR_event_clear), MP_ROM_PTR(&hostnet_mod_event_clear_obj) },
    { MP_ROM_QSTR(MP_QSTR_event_close), MP_ROM_PTR(&hostnet_mod_event_close_obj) },
};
static MP_DEFINE_CONST_DICT(hostnet_globals, hostnet_globals_table);

const mp_obj_module_t hostnet_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&hostnet_globals,
};
MP_REGISTER_MODULE(MP_QSTR_hostnet, hostnet_module);
