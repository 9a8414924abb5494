/*
 * stops.h for Python: an object whose finaliser runs what is listed.
 */
#include "soft_reset.h"

#include "py/runtime.h"

/* 0 where Python ends only with the process: then there is nothing left to stop, and the threads of
 * Python that were cancelled may hold locks that stopping would wait for. */
#ifndef STOP_AT_SOFT_RESET
#define STOP_AT_SOFT_RESET 1
#endif

/* The root pointer keeps it until a soft reset, whose sweep collects everything. */
typedef struct {
    mp_obj_base_t base;
} guard_obj_t;

/* A soft reset clears no root pointer, so it is forgotten here: the next guard is another one. */
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
