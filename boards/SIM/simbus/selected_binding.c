/*
 * simbus.Selected: the SPI target of a module that its controller selects by CS, as
 * spinet.nina.spi_target uses it. Another thread answers the controller (selected.h).
 */

#include "selected_binding.h"

#include "buffer_span.h"
#include "py/runtime.h"
#include "selected.h"

typedef struct {
    mp_obj_base_t base;
    mp_obj_t on_lost;
    mp_obj_t armed[2]; /* keeps the buffers alive */
    selected_t target;
} selected_obj_t;

static selected_t *target_of(mp_obj_t self_in) {
    return &((selected_obj_t *)MP_OBJ_TO_PTR(self_in))->target;
}

static mp_obj_t check(mp_obj_t self_in, int code) {
    if (code < 0) {
        simbus_lost(((selected_obj_t *)MP_OBJ_TO_PTR(self_in))->on_lost, code);
    }
    return mp_const_none;
}

/* Selected(sck_hz, on_lost) */
static mp_obj_t selected_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_int_t sck_hz = mp_obj_get_int(args[0]);
    selected_obj_t *self = mp_obj_malloc_with_finaliser(selected_obj_t, type);
    self->on_lost = args[1];
    self->armed[0] = self->armed[1] = mp_const_none;
    selected_init(&self->target, sck_hz);
    return MP_OBJ_FROM_PTR(self);
}

/* ---- power ---- */

/* connected(fd, patience_ms, version): say HELLO and answer from now on. The descriptor that a wait
 * watches. Raises OSError when the computer has no thread or descriptor left. */
static mp_obj_t selected_connected(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    selected_t *target = target_of(args[0]);
    mp_buffer_info_t text;
    mp_get_buffer_raise(args[3], &text, MP_BUFFER_READ);
    int error = selected_start(target, mp_obj_get_int(args[1]), mp_obj_get_int(args[2]), text.buf, text.len);
    if (error > 0) {
        mp_raise_OSError(error);
    }
    check(args[0], error);
    return MP_OBJ_NEW_SMALL_INT(target->bell);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(selected_connected_obj, 4, 4, selected_connected);

/* disconnected(): end the connection and the thread */
static mp_obj_t selected_disconnected(mp_obj_t self_in) {
    selected_stop(target_of(self_in));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_disconnected_obj, selected_disconnected);

/* power_cycle(): pins and transfers as a module that has just been switched on */
static mp_obj_t selected_power_cycle_(mp_obj_t self_in) {
    return check(self_in, selected_power_cycle(target_of(self_in)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_power_cycle_obj, selected_power_cycle_);

/* reset(): the level of RESET; low from its fall to settle() */
static mp_obj_t selected_reset(mp_obj_t self_in) {
    return mp_obj_new_bool(selected_out_of_reset(target_of(self_in)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_reset_obj, selected_reset);

/* settle(): a fall of RESET has been acted on */
static mp_obj_t selected_settle_(mp_obj_t self_in) {
    selected_settle(target_of(self_in));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_settle_obj, selected_settle_);

/* ---- a source of the stack's wait() ---- */

/* before_wait(): False, as nothing is kept here; the descriptor is readable while there is news */
static mp_obj_t selected_before_wait(mp_obj_t self_in) {
    (void)self_in;
    return mp_const_false;
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_before_wait_obj, selected_before_wait);

/* on_ready(): see whether the connection is lost or RESET fell */
static mp_obj_t selected_on_ready(mp_obj_t self_in) {
    return check(self_in, selected_take(target_of(self_in)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_on_ready_obj, selected_on_ready);

/* ---- transfers ---- */

/* arm(tx, rx, n): the next selection gets tx[:n], and zeros; rx[:4096] is what comes in */
static mp_obj_t selected_arm_(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    selected_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_int_t n = mp_obj_get_int(args[3]);
    if (n > LONGEST_SHIFT) {
        mp_raise_ValueError(MP_ERROR_TEXT("a transfer has at most 4096 bytes"));
    }
    transfer_t transfer = {
        .tx = buffer_span(args[1], MP_BUFFER_READ, 0, n),
        .rx = buffer_span(args[2], MP_BUFFER_WRITE, 0, LONGEST_SHIFT),
        .length = (size_t)n,
        .room = LONGEST_SHIFT,
    };
    int code = selected_arm(&self->target, transfer);
    self->armed[0] = args[1];
    self->armed[1] = args[2];
    return check(args[0], code);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(selected_arm_obj, 4, 4, selected_arm_);

/* received(): how many bytes the transfer that has ended brought; -1: it has not ended */
static mp_obj_t selected_received_(mp_obj_t self_in) {
    return MP_OBJ_NEW_SMALL_INT(selected_received(target_of(self_in)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_received_obj, selected_received_);

/* disarm(): READY is high, and a selection has no effect */
static mp_obj_t selected_disarm_(mp_obj_t self_in) {
    selected_disarm(target_of(self_in));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(selected_disarm_obj, selected_disarm_);

/* gpio0(level): drive GPIO0 */
static mp_obj_t selected_gpio0_(mp_obj_t self_in, mp_obj_t level) {
    return check(self_in, selected_gpio0(target_of(self_in), mp_obj_is_true(level)));
}
static MP_DEFINE_CONST_FUN_OBJ_2(selected_gpio0_obj, selected_gpio0_);

static const mp_rom_map_elem_t selected_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&selected_disconnected_obj) },
    { MP_ROM_QSTR(MP_QSTR_connected), MP_ROM_PTR(&selected_connected_obj) },
    { MP_ROM_QSTR(MP_QSTR_disconnected), MP_ROM_PTR(&selected_disconnected_obj) },
    { MP_ROM_QSTR(MP_QSTR_power_cycle), MP_ROM_PTR(&selected_power_cycle_obj) },
    { MP_ROM_QSTR(MP_QSTR_reset), MP_ROM_PTR(&selected_reset_obj) },
    { MP_ROM_QSTR(MP_QSTR_settle), MP_ROM_PTR(&selected_settle_obj) },
    { MP_ROM_QSTR(MP_QSTR_before_wait), MP_ROM_PTR(&selected_before_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_on_ready), MP_ROM_PTR(&selected_on_ready_obj) },
    { MP_ROM_QSTR(MP_QSTR_arm), MP_ROM_PTR(&selected_arm_obj) },
    { MP_ROM_QSTR(MP_QSTR_received), MP_ROM_PTR(&selected_received_obj) },
    { MP_ROM_QSTR(MP_QSTR_disarm), MP_ROM_PTR(&selected_disarm_obj) },
    { MP_ROM_QSTR(MP_QSTR_gpio0), MP_ROM_PTR(&selected_gpio0_obj) },
};
static MP_DEFINE_CONST_DICT(selected_locals, selected_locals_table);

MP_DEFINE_CONST_OBJ_TYPE(
    selected_type,
    MP_QSTR_Selected,
    MP_TYPE_FLAG_NONE,
    make_new, selected_make_new,
    locals_dict, &selected_locals
    );
