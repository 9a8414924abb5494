/*
 * The `_spinet_spi_exchange` module: spi_exchange.h for Python.
 *
 * It is the SPI that SpiMaster uses; there is one. Only start() and buffers() allocate on Python's heap.
 * Errors are raised as message_binding.h says.
 */
#include "spi_exchange.h"
#include "message_binding.h"
#include "soft_reset.h"

#include "py/mpthread.h"
#include "py/runtime.h"

/* ---- module: start and stop ---- */

static stop_t soft_reset_stop = { .function = exchange_stop };

/* start(spi, sck, mosi, miso, frequency, size): spi is 1 or 2 as in MicroPython, which ESP-IDF calls
 * SPI2_HOST and SPI3_HOST; size is that of each message buffer. */
static mp_obj_t mod_start(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    exchange_config_t config = {
        .host = mp_obj_get_int(args[0]),
        .sck = mp_obj_get_int(args[1]),
        .mosi = mp_obj_get_int(args[2]),
        .miso = mp_obj_get_int(args[3]),
        .frequency = mp_obj_get_int(args[4]),
        .size = (size_t)mp_obj_get_int(args[5]),
    };
    at_soft_reset(&soft_reset_stop);
    message_raise(exchange_start(&config));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_start_obj, 6, 6, mod_start);

static mp_obj_t mod_stop(void) {
    exchange_stop();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(mod_stop_obj, mod_stop);

/* ---- module: transfers ---- */

static int run_without_gil(int offset, int n) {
    MP_THREAD_GIL_EXIT();
    int error = exchange_run(offset, n);
    MP_THREAD_GIL_ENTER();
    return error;
}

/* exchange(tx, rx, offset, n): a long one releases the GIL. */
static mp_obj_t mod_exchange(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    message_check_pair(args[0], args[1]);
    int offset = mp_obj_get_int(args[2]);
    int n = mp_obj_get_int(args[3]);
    message_raise(n > EXCHANGE_POLLED_MAX ? run_without_gil(offset, n) : exchange_run(offset, n));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(mod_exchange_obj, 4, 4, mod_exchange);

static mp_obj_t mod_set_clock(mp_obj_t frequency) {
    message_raise(exchange_set_clock(mp_obj_get_int(frequency)));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_set_clock_obj, mod_set_clock);

/* ---- the module ---- */

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_spi_exchange) },
    { MP_ROM_QSTR(MP_QSTR_start), MP_ROM_PTR(&mod_start_obj) },
    { MP_ROM_QSTR(MP_QSTR_stop), MP_ROM_PTR(&mod_stop_obj) },
    { MP_ROM_QSTR(MP_QSTR_buffers), MP_ROM_PTR(&message_buffers_obj) },
    { MP_ROM_QSTR(MP_QSTR_exchange), MP_ROM_PTR(&mod_exchange_obj) },
    { MP_ROM_QSTR(MP_QSTR_set_clock), MP_ROM_PTR(&mod_set_clock_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_spi_exchange_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_spi_exchange, spinet_spi_exchange_module);
