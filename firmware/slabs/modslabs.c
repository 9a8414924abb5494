/*
 * The `_spinet_slabs` module: slabs.h for modules/spinet/compat.py, and how much of Python's heap is in use.
 *
 * Its bytearrays are C's memory: they cannot grow, and a garbage collection does not look into them, so
 * they must not hold references.
 */
#include "slabs.h"
#include "soft_reset.h"

#include "py/runtime.h"

static stop_t soft_reset_stop = { .function = slabs_forget };

/* take(kind, size): a bytearray of zeros, or None. Allocates the object. */
static mp_obj_t mod_take(mp_obj_t kind, mp_obj_t size_in) {
    size_t size = (size_t)mp_obj_get_int(size_in);
    at_soft_reset(&soft_reset_stop);
    uint8_t *memory = slab_take((int)mp_obj_get_int(kind), size);
    return memory ? mp_obj_new_bytearray_by_ref(size, memory) : mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(mod_take_obj, mod_take);

/* give_back(bytearray): it must not be used afterwards. Nothing happens for a buffer that is no slab. */
static mp_obj_t mod_give_back(mp_obj_t buffer) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    slab_give_back(info.buf);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_give_back_obj, mod_give_back);

/* taken(): bytes of the chip's heap that the slabs have, in use or not. */
static mp_obj_t mod_taken(void) {
    return mp_obj_new_int_from_uint(slabs_taken());
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_taken_obj, mod_taken);

#if MICROPY_GC_SPLIT_HEAP
#define NEXT_AREA(area) ((area)->next)
#else
#define NEXT_AREA(area) NULL
#endif

/* heap_used(): bytes of Python's heap in use. gc.mem_alloc() tells the same, but it looks at each block of the
 * whole heap by itself. Here it is four at a time, two bits for each, and none above the highest in use. */
static mp_obj_t mod_heap_used(void) {
    size_t blocks = 0;
    for (const mp_state_mem_area_t *area = &MP_STATE_MEM(area); area != NULL; area = NEXT_AREA(area)) {
        for (size_t i = 0; i <= area->gc_last_used_block / 4; i++) {
            unsigned kinds = area->gc_alloc_table_start[i]; /* 0: free */
            kinds = (kinds | kinds >> 1) & 0x55;
            kinds = (kinds & 0x33) + (kinds >> 2 & 0x33);
            blocks += (kinds & 0x0f) + (kinds >> 4);
        }
    }
    return MP_OBJ_NEW_SMALL_INT(blocks * MICROPY_BYTES_PER_GC_BLOCK);
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_heap_used_obj, mod_heap_used);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_slabs) },
    { MP_ROM_QSTR(MP_QSTR_take), MP_ROM_PTR(&mod_take_obj) },
    { MP_ROM_QSTR(MP_QSTR_give_back), MP_ROM_PTR(&mod_give_back_obj) },
    { MP_ROM_QSTR(MP_QSTR_taken), MP_ROM_PTR(&mod_taken_obj) },
    { MP_ROM_QSTR(MP_QSTR_heap_used), MP_ROM_PTR(&mod_heap_used_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_slabs_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_slabs, spinet_slabs_module);
