/* What the unix port lacks for a board: the soft timer of its network interface, and the module
 * `ninabus`, by which a program says where its NINA is, and what shall go wrong. */

#include "py/mphal.h"
#include "py/runtime.h"
#include "extmod/modnetwork.h"
#include "shared/runtime/softtimer.h"

#include "bus.h"
#include "faults.h"

static soft_timer_entry_t *timer; /* the one that is due at expiry_ms, or NULL */

void soft_timer_static_init(soft_timer_entry_t *entry, uint16_t mode, uint32_t delta_ms,
    void (*callback)(soft_timer_entry_t *)) {
    entry->mode = mode;
    entry->delta_ms = delta_ms;
    entry->c_callback = callback;
}

void soft_timer_insert(soft_timer_entry_t *entry, uint32_t ms) {
    entry->expiry_ms = (uint32_t)mp_hal_ticks_ms() + ms;
    timer = entry;
}

void soft_timer_remove(soft_timer_entry_t *entry) {
    (void)entry;
    timer = NULL;
}

void port_timers(void) {
    soft_timer_entry_t *due = timer;
    if (due && soft_timer_ticks_diff((uint32_t)mp_hal_ticks_ms(), due->expiry_ms) >= 0) {
        timer = NULL;
        due->c_callback(due);
    }
}

/* open(fd): the connection that the module made */
static mp_obj_t ninabus_open(mp_obj_t fd) {
    mod_network_init();
    if (!bus_open(mp_obj_get_int(fd))) {
        mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("no NINA"));
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ninabus_open_obj, ninabus_open);

/* cut(n): the transfer fails after n bytes more */
static mp_obj_t ninabus_cut(mp_obj_t n) {
    nina_faults.cut_after = mp_obj_get_int(n);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(ninabus_cut_obj, ninabus_cut);

/* gap(n, ms): the clock stands still for this long after n bytes more */
static mp_obj_t ninabus_gap(mp_obj_t n, mp_obj_t ms) {
    nina_faults.gap_after = mp_obj_get_int(n);
    nina_faults.gap_ms = mp_obj_get_int(ms);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(ninabus_gap_obj, ninabus_gap);

static const mp_rom_map_elem_t ninabus_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_ninabus) },
    { MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&ninabus_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_cut), MP_ROM_PTR(&ninabus_cut_obj) },
    { MP_ROM_QSTR(MP_QSTR_gap), MP_ROM_PTR(&ninabus_gap_obj) },
};
static MP_DEFINE_CONST_DICT(ninabus_globals, ninabus_globals_table);

const mp_obj_module_t ninabus_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&ninabus_globals,
};
MP_REGISTER_MODULE(MP_QSTR_ninabus, ninabus_module);
