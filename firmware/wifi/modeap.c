/*
 * The `eap` module: eap_login.h for Python.
 *
 *     use(protocol, credentials)   a login for the station; credentials: five buffers, empty for none.
 *                                  0, the number of the one that was refused plus 1, or more
 *     clear()                      without a login
 */
#include "eap_login.h"

#include "py/mpthread.h"
#include "py/runtime.h"

static mp_obj_t mod_eap_use(mp_obj_t protocol, mp_obj_t credentials_in) {
    eap_credential_t credentials[EAP_CREDENTIALS];
    mp_obj_t *items;
    mp_obj_get_array_fixed_n(credentials_in, EAP_CREDENTIALS, &items);
    for (int i = 0; i < EAP_CREDENTIALS; i++) {
        mp_buffer_info_t info;
        mp_get_buffer_raise(items[i], &info, MP_BUFFER_READ);
        credentials[i].data = info.buf;
        credentials[i].size = info.len;
    }
    int number = mp_obj_get_int(protocol);
    /* The driver waits for its own task when it is switched on. */
    MP_THREAD_GIL_EXIT();
    int refused = eap_use(number, credentials);
    MP_THREAD_GIL_ENTER();
    return MP_OBJ_NEW_SMALL_INT(refused);
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_eap_use_obj, mod_eap_use);

static mp_obj_t mod_eap_clear(void) {
    MP_THREAD_GIL_EXIT();
    eap_clear();
    MP_THREAD_GIL_ENTER();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_eap_clear_obj, mod_eap_clear);

static const mp_rom_map_elem_t eap_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_eap) },
    { MP_ROM_QSTR(MP_QSTR_use), MP_ROM_PTR(&mod_eap_use_obj) },
    { MP_ROM_QSTR(MP_QSTR_clear), MP_ROM_PTR(&mod_eap_clear_obj) },
};
static MP_DEFINE_CONST_DICT(eap_globals, eap_globals_table);

const mp_obj_module_t mp_module_eap = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&eap_globals,
};
MP_REGISTER_MODULE(MP_QSTR_eap, mp_module_eap);
