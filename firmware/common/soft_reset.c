/* A Python object whose finaliser runs the listed functions (stops.h). */
#include "soft_reset.h"

#include "py/runtime.h"

/* 0 where Python ends with its process only: nothing has to be stopped then, and a cancelled thread of
 * Python may hold a lock that a stop would wait for. */
#ifndef STOP_AT_SOFT_RESET
#define STOP_AT_SOFT_RESET 1
#endif

/* A root pointer keeps it alive until a soft reset, whose sweep collects everything. */
typedef struct {
    mp_obj_base_t base;
} guard_obj_t;

/* A soft reset clears no root pointer, so it is cleared here: a new guard is made after the reset. */
static mp_obj_t guard_del(mp_obj_t self) {
    (void)self;
    MP_STATE_VM(soft_reset_guard) = NULL;
    stops_run();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(guard_del_obj, guard_del);

static const mp_rom_map_elem_t guard_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&guard_del_obj) },
};
static MP_DEFINE_CONST_DICT(guard_locals, guard_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    guard_type,
    MP_QSTR_Guard,
    MP_TYPE_FLAG_NONE,
    locals_dict, &guard_locals
    );

static void keep_guard(void) {
    if (MP_STATE_VM(soft_reset_guard) == NULL) {
        MP_STATE_VM(soft_reset_guard) = mp_obj_malloc_with_finaliser(guard_obj_t, &guard_type);
    }
}

void at_soft_reset(stop_t *stop) {
    if (STOP_AT_SOFT_RESET) {
        keep_guard();
        stops_add(stop);
    }
}

MP_REGISTER_ROOT_POINTER(void *soft_reset_guard);
