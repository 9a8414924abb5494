/* The functions of ESP-IDF's EAP client that the firmware calls; fake_idf.c is behind them. */
#ifndef FAKE_ESP_EAP_CLIENT_H
#define FAKE_ESP_EAP_CLIENT_H

#include <stdbool.h>

#include "esp_err.h"

typedef enum {
    ESP_EAP_TTLS_PHASE2_EAP,
    ESP_EAP_TTLS_PHASE2_MSCHAPV2,
    ESP_EAP_TTLS_PHASE2_MSCHAP,
    ESP_EAP_TTLS_PHASE2_PAP,
    ESP_EAP_TTLS_PHASE2_CHAP
} esp_eap_ttls_phase2_types;

esp_err_t esp_wifi_sta_enterprise_enable(void);
esp_err_t esp_wifi_sta_enterprise_disable(void);
esp_err_t esp_eap_client_set_identity(const unsigned char *identity, int len);
void esp_eap_client_clear_identity(void);
esp_err_t esp_eap_client_set_username(const unsigned char *username, int len);
void esp_eap_client_clear_username(void);
esp_err_t esp_eap_client_set_password(const unsigned char *password, int len);
void esp_eap_client_clear_password(void);
void esp_eap_client_clear_new_password(void);
esp_err_t esp_eap_client_set_ca_cert(const unsigned char *cert, int len);
void esp_eap_client_clear_ca_cert(void);
esp_err_t esp_eap_client_set_certificate_and_key(const unsigned char *cert, int cert_len, const unsigned char *key,
                                                 int key_len, const unsigned char *key_password,
                                                 int key_password_len);
void esp_eap_client_clear_certificate_and_key(void);
esp_err_t esp_eap_client_set_disable_time_check(bool disable);
esp_err_t esp_eap_client_set_ttls_phase2_method(esp_eap_ttls_phase2_types type);

#endif
