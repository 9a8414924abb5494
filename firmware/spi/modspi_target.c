/*
 * The `_spinet_spi_target` module: spi_target.h for Python.
 *
 * It is the target that SpiSlave uses; there is one. Only start() and buffers() allocate on Python's heap.
 * The end of a phase ends the TCP stack's wait. Errors are raised as message_binding.h says.
 */
#include "message_binding.h"
#include "sck_counter.h"
#include "soft_reset.h"
#include "spi_target.h"

#include "py/runtime.h"

/* ---- module: start and stop ---- */

static stop_t soft_reset_stop = { .function = target_stop };

/* start(spi, sck, mosi, miso, cs, counts, size): spi is 1 or 2 as in MicroPython, which ESP-IDF calls
 * SPI2_HOST and SPI3_HOST; counts: end a phase by counting SCK; size is that of each message buffer. */
static mp_obj_t mod_start(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    slave_wiring_t wiring = message_wiring(args, args[6]);
    at_soft_reset(&soft_reset_stop);
    message_raise(target_start(&wiring, mp_obj_is_true(args[5])));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_start_obj, 7, 7, mod_start);

static mp_obj_t mod_stop(void) {
    target_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_stop_obj, mod_stop);

/* ---- module: phases ---- */

/* arm(tx, rx, offset, n) */
static mp_obj_t mod_arm(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    message_check_pair(args[0], args[1]);
    message_raise(target_arm(mp_obj_get_int(args[2]), mp_obj_get_int(args[3])));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_arm_obj, 4, 4, mod_arm);

static mp_obj_t mod_clocked(void) {
    return MP_OBJ_NEW_SMALL_INT(target_clocked());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_clocked_obj, mod_clocked);

static mp_obj_t mod_disarm(void) {
    target_disarm();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_disarm_obj, mod_disarm);

/* ---- the module ---- */

/* COUNTS: this chip can end a phase by counting SCK. */
static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_spi_target) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&mod_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&mod_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_buffers), MP_ROM_PTR(&message_buffers_obj) },
    { MP_ROM_QSTR(MP_QSTR_arm), MP_ROM_PTR(&mod_arm_obj) },
    { MP_ROM_QSTR(MP_QSTR_clocked), MP_ROM_PTR(&mod_clocked_obj) },
    { MP_ROM_QSTR(MP_QSTR_disarm), MP_ROM_PTR(&mod_disarm_obj) },
    { MP_ROM_QSTR(MP_QSTR_COUNTS), MP_ROM_INT(SCK_COUNTER_THERE) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_spi_target_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_spi_target, spinet_spi_target_module);
