/* Access rights of SIM's files: MicroPython's os module lacks these calls. A chip's flash has no users. */

#include <errno.h>
#include <sys/stat.h>

#include "py/obj.h"
#include "py/runtime.h"

/* umask(mask): the mask before */
static mp_obj_t hostfiles_umask(mp_obj_t mask) {
    return MP_OBJ_NEW_SMALL_INT(umask((mode_t)mp_obj_get_int(mask)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(hostfiles_umask_obj, hostfiles_umask);

/* chmod(path, mode): 0 or -errno */
static mp_obj_t hostfiles_chmod(mp_obj_t path, mp_obj_t mode) {
    int failed = chmod(mp_obj_str_get_str(path), (mode_t)mp_obj_get_int(mode));
    return MP_OBJ_NEW_SMALL_INT(failed ? -errno : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(hostfiles_chmod_obj, hostfiles_chmod);

static const mp_rom_map_elem_t hostfiles_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_hostfiles) },
    { MP_ROM_QSTR(MP_QSTR_umask), MP_ROM_PTR(&hostfiles_umask_obj) },
    { MP_ROM_QSTR(MP_QSTR_chmod), MP_ROM_PTR(&hostfiles_chmod_obj) },
};
static MP_DEFINE_CONST_DICT(hostfiles_globals, hostfiles_globals_table);

const mp_obj_module_t hostfiles_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&hostfiles_globals,
};
MP_REGISTER_MODULE(MP_QSTR_hostfiles, hostfiles_module);
