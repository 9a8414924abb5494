/* The `simlwip` module: SIM's additions to lwIP for Python. Errors are negative errno. */
#include "clock.h"
#include "faults.h"
#include "platform.h"
#include "sim_stack.h"

#include "py/runtime.h"

/* up(tap, ip, netmask, gateway): tap is a device's name or None; addresses as the records have them,
 * first octet lowest. Before _spinet_lwip.start(). */
static mp_obj_t simlwip_up(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    const char *tap = args[0] == mp_const_none ? NULL : mp_obj_str_get_str(args[0]);
    int error = sim_stack_up(tap, (uint32_t)mp_obj_get_int(args[1]),
        (uint32_t)mp_obj_get_int(args[2]), (uint32_t)mp_obj_get_int(args[3]));
    return MP_OBJ_NEW_SMALL_INT(-error);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(simlwip_up_obj, 4, 4, simlwip_up);

/* watch(fd): _spinet_lwip.wait() ends while there is something to read */
static mp_obj_t simlwip_watch(mp_obj_t fd) {
    return MP_OBJ_NEW_SMALL_INT(-sim_watch(mp_obj_get_int(fd)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(simlwip_watch_obj, simlwip_watch);

static mp_obj_t simlwip_unwatch(mp_obj_t fd) {
    sim_unwatch(mp_obj_get_int(fd));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(simlwip_unwatch_obj, simlwip_unwatch);

/* faults(drop, duplicate, reorder, corrupt, reorder_ms, seed): on the TAP device, chances in per mille */
static mp_obj_t simlwip_faults(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    faults_t faults = {
        .drop = (uint16_t)mp_obj_get_int(args[0]),
        .duplicate = (uint16_t)mp_obj_get_int(args[1]),
        .reorder = (uint16_t)mp_obj_get_int(args[2]),
        .corrupt = (uint16_t)mp_obj_get_int(args[3]),
        .reorder_ms = (uint16_t)mp_obj_get_int(args[4]),
    };
    faults_set(&faults, (uint32_t)mp_obj_get_int(args[5]));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(simlwip_faults_obj, 6, 6, simlwip_faults);

/* warp(factor): lwIP's clock runs so many times as fast */
static mp_obj_t simlwip_warp(mp_obj_t factor) {
    clock_warp((uint32_t)mp_obj_get_int(factor));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(simlwip_warp_obj, simlwip_warp);

/* memory_free(): free bytes of the simulated chip's heap, of which only lwIP takes some */
static mp_obj_t simlwip_memory_free(void) {
    return mp_obj_new_int_from_uint(platform_memory_free());
}
static MP_DEFINE_CONST_FUN_OBJ_0(simlwip_memory_free_obj, simlwip_memory_free);

static const mp_rom_map_elem_t simlwip_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_simlwip) },
    { MP_ROM_QSTR(MP_QSTR_up), MP_ROM_PTR(&simlwip_up_obj) },
    { MP_ROM_QSTR(MP_QSTR_watch), MP_ROM_PTR(&simlwip_watch_obj) },
    { MP_ROM_QSTR(MP_QSTR_unwatch), MP_ROM_PTR(&simlwip_unwatch_obj) },
    { MP_ROM_QSTR(MP_QSTR_faults), MP_ROM_PTR(&simlwip_faults_obj) },
    { MP_ROM_QSTR(MP_QSTR_warp), MP_ROM_PTR(&simlwip_warp_obj) },
    { MP_ROM_QSTR(MP_QSTR_memory_free), MP_ROM_PTR(&simlwip_memory_free_obj) },
};
static MP_DEFINE_CONST_DICT(simlwip_globals, simlwip_globals_table);

const mp_obj_module_t simlwip_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&simlwip_globals,
};
MP_REGISTER_MODULE(MP_QSTR_simlwip, simlwip_module);
