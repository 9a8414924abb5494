/*
 * The `spi_exchange` module: exchange_core.h for Python, as spinet.spi_master wants its SPI.
 *
 * There is one. Nothing but start() and buffers() takes memory of Python's. Errors are raised as
 * message_binding.h says.
 */
#include "exchange_core.h"
#include "message_binding.h"

#include "py/mpthread.h"
#include "py/runtime.h"

/* Collected only by a soft reset (the root pointer keeps it until then): stops what still runs. */
typedef struct {
    mp_obj_base_t base;
} guard_obj_t;

static const mp_obj_type_t guard_type;

/* ---- module: start and stop ---- */

static void keep_guard(void) {
    if (MP_STATE_VM(spi_exchange_guard) == NULL) {
        MP_STATE_VM(spi_exchange_guard) = mp_obj_malloc_with_finaliser(guard_obj_t, &guard_type);
    }
}

/* A soft reset clears no root pointer, so they are forgotten here. */
static mp_obj_t guard_del(mp_obj_t self) {
    (void)self;
    exchange_stop();
    MP_STATE_VM(spi_exchange_guard) = NULL;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(guard_del_obj, guard_del);

/* start(spi, sck, mosi, miso, frequency, size): spi as MicroPython counts them, 1 or 2, which is what
 * ESP-IDF calls SPI2_HOST and SPI3_HOST; size of each message buffer. */
static mp_obj_t spi_exchange_start(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    exchange_config_t config = {
        .host = mp_obj_get_int(args[0]),
        .sck = mp_obj_get_int(args[1]),
        .mosi = mp_obj_get_int(args[2]),
        .miso = mp_obj_get_int(args[3]),
        .frequency = mp_obj_get_int(args[4]),
        .size = (size_t)mp_obj_get_int(args[5]),
    };
    keep_guard();
    message_raise(exchange_start(&config));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(spi_exchange_start_obj, 6, 6, spi_exchange_start);

static mp_obj_t spi_exchange_stop(void) {
    exchange_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(spi_exchange_stop_obj, spi_exchange_stop);

static mp_obj_t spi_exchange_buffers(void) {
    return message_buffers_as_tuple();
}
static MP_DEFINE_CONST_FUN_OBJ_0(spi_exchange_buffers_obj, spi_exchange_buffers);

/* ---- module: transfers ---- */

static int run_without_gil(int offset, int n) {
    MP_THREAD_GIL_EXIT();
    int error = exchange_run(offset, n);
    MP_THREAD_GIL_ENTER();
    return error;
}

/* exchange(tx, rx, offset, n): other threads of Python run during a long one. */
static mp_obj_t spi_exchange_exchange(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    message_check_pair(args[0], args[1]);
    int offset = mp_obj_get_int(args[2]);
    int n = mp_obj_get_int(args[3]);
    message_raise(n > EXCHANGE_POLLED_MAX ? run_without_gil(offset, n) : exchange_run(offset, n));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(spi_exchange_exchange_obj, 4, 4, spi_exchange_exchange);

static mp_obj_t spi_exchange_set_clock(mp_obj_t frequency) {
    message_raise(exchange_set_clock(mp_obj_get_int(frequency)));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(spi_exchange_set_clock_obj, spi_exchange_set_clock);

/* ---- types ---- */

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

/* ---- the module ---- */

static const mp_rom_map_elem_t spi_exchange_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_spi_exchange) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&spi_exchange_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&spi_exchange_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_buffers), MP_ROM_PTR(&spi_exchange_buffers_obj) },
    { MP_ROM_QSTR(MP_QSTR_exchange), MP_ROM_PTR(&spi_exchange_exchange_obj) },
    { MP_ROM_QSTR(MP_QSTR_set_clock), MP_ROM_PTR(&spi_exchange_set_clock_obj) },
};
static MP_DEFINE_CONST_DICT(spi_exchange_globals, spi_exchange_globals_table);

const mp_obj_module_t spi_exchange_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&spi_exchange_globals,
};

MP_REGISTER_MODULE(MP_QSTR_spi_exchange, spi_exchange_user_cmodule);
MP_REGISTER_ROOT_POINTER(void *spi_exchange_guard);
