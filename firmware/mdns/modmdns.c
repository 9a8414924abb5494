/*
 * The `_spinet_mdns` module: mdns_services.h for Python. Errors are returned as small integers. The GIL is
 * released during each call, so that the service goes on while another thread waits here.
 */
#include "mdns_services.h"

#include "py/mpthread.h"
#include "py/runtime.h"

static mp_obj_t mod_name(mp_obj_t label_in) {
    const char *label = mp_obj_str_get_str(label_in);
    MP_THREAD_GIL_EXIT();
    int error = services_name(label);
    MP_THREAD_GIL_ENTER();
    return MP_OBJ_NEW_SMALL_INT(error);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_name_obj, mod_name);

/* offer(kind, port, product, version) */
static mp_obj_t mod_offer(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    const char *kind = mp_obj_str_get_str(args[0]);
    mp_int_t port = mp_obj_get_int(args[1]);
    services_text_t text = { mp_obj_str_get_str(args[2]), mp_obj_str_get_str(args[3]) };
    if (port < 1 || port > UINT16_MAX) {
        mp_raise_ValueError(MP_ERROR_TEXT("port"));
    }
    MP_THREAD_GIL_EXIT();
    int error = services_offer(kind, (uint16_t)port, &text);
    MP_THREAD_GIL_ENTER();
    return MP_OBJ_NEW_SMALL_INT(error);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_offer_obj, 4, 4, mod_offer);

static mp_obj_t mod_withdraw(mp_obj_t kind_in) {
    const char *kind = mp_obj_str_get_str(kind_in);
    MP_THREAD_GIL_EXIT();
    int error = services_withdraw(kind);
    MP_THREAD_GIL_ENTER();
    return MP_OBJ_NEW_SMALL_INT(error);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_withdraw_obj, mod_withdraw);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_mdns) },
    { MP_ROM_QSTR(MP_QSTR_name), MP_ROM_PTR(&mod_name_obj) },
    { MP_ROM_QSTR(MP_QSTR_offer), MP_ROM_PTR(&mod_offer_obj) },
    { MP_ROM_QSTR(MP_QSTR_withdraw), MP_ROM_PTR(&mod_withdraw_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_mdns_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_mdns, spinet_mdns_module);
