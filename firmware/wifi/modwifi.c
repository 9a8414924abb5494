/*
 * The `_spinet_wifi` module: what MicroPython's `network` does not have.
 *
 *     set_country(code)                  tells the driver the country, two letters. network.country() keeps the
 *                                        code to itself. A station that is connected follows its access point
 *                                        instead (802.11d). OSError with ESP-IDF's number, also before WiFi is
 *                                        initialised
 *     eap_use(protocol, credentials)     a login for the station; credentials: five buffers, an empty one for
 *                                        none. Returns what eap_use() of eap_login.h returns
 *     eap_clear()                        no login
 *     access_point(mac)                  writes the MAC of the access point that the station is on into a buffer of
 *                                        6 bytes; returns its wifi_auth_mode_t, -1 while there is none
 *     dns(i)                             name server 0 or 1, as a u32 whose lowest byte is the first octet; 0: none
 */
#include "eap_login.h"

#include <string.h>

#include "esp_wifi.h"

#include "lwip/dns.h"
#include "lwip/tcpip.h"

#include "py/mpthread.h"
#include "py/runtime.h"

#define LETTERS 2
#define MAC_SIZE 6

static mp_obj_t mod_set_country(mp_obj_t code_in) {
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
static MP_DEFINE_CONST_FUN_OBJ_1(mod_set_country_obj, mod_set_country);

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
    /* The driver waits for its own task when the login is enabled. */
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

static mp_obj_t mod_access_point(mp_obj_t mac_in) {
    mp_buffer_info_t mac;
    mp_get_buffer_raise(mac_in, &mac, MP_BUFFER_WRITE);
    if (mac.len != MAC_SIZE) {
        mp_raise_ValueError(MP_ERROR_TEXT("a MAC has 6 bytes"));
    }
    wifi_ap_record_t record;
    if (esp_wifi_sta_get_ap_info(&record) != ESP_OK) {
        return MP_OBJ_NEW_SMALL_INT(-1);
    }
    memcpy(mac.buf, record.bssid, MAC_SIZE);
    return MP_OBJ_NEW_SMALL_INT(record.authmode);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_access_point_obj, mod_access_point);

/* lwIP ignores a number that it has no name server for. */
static mp_obj_t mod_dns(mp_obj_t number) {
    int i = mp_obj_get_int(number);
    LOCK_TCPIP_CORE();
    const ip_addr_t *server = dns_getserver(i);
    uint32_t ip = IP_IS_V4(server) ? ip4_addr_get_u32(ip_2_ip4(server)) : 0;
    UNLOCK_TCPIP_CORE();
    return mp_obj_new_int_from_uint(ip);
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_dns_obj, mod_dns);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_wifi) },
    { MP_ROM_QSTR(MP_QSTR_set_country), MP_ROM_PTR(&mod_set_country_obj) },
    { MP_ROM_QSTR(MP_QSTR_eap_use), MP_ROM_PTR(&mod_eap_use_obj) },
    { MP_ROM_QSTR(MP_QSTR_eap_clear), MP_ROM_PTR(&mod_eap_clear_obj) },
    { MP_ROM_QSTR(MP_QSTR_access_point), MP_ROM_PTR(&mod_access_point_obj) },
    { MP_ROM_QSTR(MP_QSTR_dns), MP_ROM_PTR(&mod_dns_obj) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_wifi_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_wifi, spinet_wifi_module);
