/*
 * The `country` module: set(code) tells the WiFi driver in which country it is, as two letters.
 * MicroPython's network.country() keeps the code and tells nobody. A station that is connected goes by
 * its access point instead (802.11d). Raises OSError with ESP-IDF's number, also before WiFi was
 * initialised.
 */
#include "py/runtime.h"

#include "esp_wifi.h"

#define LETTERS 2

static mp_obj_t country_set(mp_obj_t code_in) {
    size_t length;
    const char *code = mp_obj_str_get_data(code_in, &length);
    if (length != LETTERS) {
        mp_raise_ValueError(MP_ERROR_TEXT("country needs two letters"));
    }
    esp_err_t error = esp_wifi_set_country_code(code, true);
    if (error != ESP_OK) {
        mp_raise_OSError(error);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(country_set_obj, country_set);

static const mp_rom_map_elem_t country_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_country) },
    { MP_ROM_QSTR(MP_QSTR_set), MP_ROM_PTR(&country_set_obj) },
};
static MP_DEFINE_CONST_DICT(country_globals, country_globals_table);

const mp_obj_module_t mp_module_country = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&country_globals,
};
MP_REGISTER_MODULE(MP_QSTR_country, mp_module_country);
