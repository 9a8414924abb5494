/*
 * The `_spinet_nina_target` module: nina_target.h for Python.
 *
 * It is the target that SelectedTarget uses; there is one. Only start() and buffers() allocate on Python's
 * heap. The end of a transfer ends the TCP stack's wait. Errors are raised as message_binding.h says.
 */
#include "message_binding.h"
#include "nina_target.h"
#include "soft_reset.h"

#include "py/runtime.h"

/* ---- module: start and stop ---- */

static stop_t soft_reset_stop = { .function = nina_stop };

/* start(spi, sck, mosi, miso, cs, ready, gpio0, size): spi is 1 or 2 as in MicroPython, which ESP-IDF calls
 * SPI2_HOST and SPI3_HOST; gpio0 is None where it is not wired; size is that of each message buffer. */
static mp_obj_t mod_start(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    nina_config_t config = {
        .wiring = message_wiring(args, args[7]),
        .ready = mp_obj_get_int(args[5]),
        .gpio0 = args[6] == mp_const_none ? -1 : mp_obj_get_int(args[6]),
    };
    at_soft_reset(&soft_reset_stop);
    message_raise(nina_start(&config));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_start_obj, 8, 8, mod_start);

static mp_obj_t mod_stop(void) {
    nina_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_stop_obj, mod_stop);

/* ---- module: transfers ---- */

static mp_obj_t mod_arm(mp_obj_t tx, mp_obj_t rx, mp_obj_t n) {
    message_check_pair(tx, rx);
    message_raise(nina_arm(mp_obj_get_int(n)));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(mod_arm_obj, mod_arm);

static mp_obj_t mod_received(void) {
    return MP_OBJ_NEW_SMALL_INT(nina_received());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_received_obj, mod_received);

static mp_obj_t mod_disarm(void) {
    nina_disarm();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_disarm_obj, mod_disarm);

static mp_obj_t mod_gpio0(mp_obj_t level) {
    nina_gpio0(mp_obj_is_true(level));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_gpio0_obj, mod_gpio0);

/* ---- the module ---- */

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_nina_target) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&mod_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&mod_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_buffers), MP_ROM_PTR(&message_buffers_obj) },
    { MP_ROM_QSTR(MP_QSTR_arm), MP_ROM_PTR(&mod_arm_obj) },
    { MP_ROM_QSTR(MP_QSTR_received), MP_ROM_PTR(&mod_received_obj) },
    { MP_ROM_QSTR(MP_QSTR_disarm), MP_ROM_PTR(&mod_disarm_obj) },
    { MP_ROM_QSTR(MP_QSTR_gpio0), MP_ROM_PTR(&mod_gpio0_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_nina_target_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_nina_target, spinet_nina_target_module);
