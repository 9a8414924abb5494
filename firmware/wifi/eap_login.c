/*
 * The driver copies names and passwords, but keeps pointers to certificates and keys. Their copies live here,
 * from eap_use() to eap_clear(). mbedTLS wants a NUL at the end of PEM, counted in its size, and none after
 * DER. It reads the password of a key as a string.
 */
#include "eap_login.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "esp_eap_client.h"

static const char pem_begin[] = "-----BEGIN ";

typedef struct {
    unsigned char *data; /* NULL: there is none */
    size_t size;         /* what the driver is given */
    size_t allocated;
} kept_t;

/* The driver has pointers to these. */
static kept_t ca_cert, user_cert, private_key, key_password;

static bool is_pem(const eap_credential_t *credential) {
    size_t n = sizeof(pem_begin) - 1;
    for (size_t at = 0; at + n <= credential->size; at++) {
        if (memcmp(credential->data + at, pem_begin, n) == 0) {
            return true;
        }
    }
    return false;
}

static void release(kept_t *kept) {
    volatile unsigned char *data = kept->data;
    for (size_t i = 0; i < kept->allocated; i++) {
        data[i] = 0;
    }
    free(kept->data);
    memset(kept, 0, sizeof(*kept));
}

/* Copies a credential, with a NUL behind it; `counts`: its size includes the NUL. */
static bool keep(kept_t *kept, const eap_credential_t *credential, bool counts) {
    if (credential->size == 0) {
        return true;
    }
    kept->allocated = credential->size + 1;
    kept->data = malloc(kept->allocated);
    if (kept->data == NULL) {
        kept->allocated = 0;
        return false;
    }
    memcpy(kept->data, credential->data, credential->size);
    kept->data[credential->size] = 0;
    kept->size = credential->size + (counts && credential->data[credential->size - 1] != 0);
    return true;
}

static bool keep_certificate(kept_t *kept, const eap_credential_t *credential) {
    return keep(kept, credential, is_pem(credential));
}

/* The number plus 1 of the first credential that is too long for the driver's `int`; 0: none. */
static int first_too_long(const eap_credential_t *credentials) {
    for (int i = 0; i < EAP_CREDENTIALS; i++) {
        if (credentials[i].size >= INT_MAX) {
            return i + 1;
        }
    }
    return 0;
}

static int use_anonymous_id(const eap_credential_t *id) {
    if (id->size == 0) {
        return 0;
    }
    return esp_eap_client_set_identity(id->data, (int)id->size) == ESP_OK ? 0 : EAP_ANONYMOUS_ID + 1;
}

static int use_ca_cert(const eap_credential_t *certificate) {
    if (certificate->size == 0) {
        return 0;
    }
    if (!keep_certificate(&ca_cert, certificate)) {
        return EAP_NO_MEMORY;
    }
    return esp_eap_client_set_ca_cert(ca_cert.data, (int)ca_cert.size) == ESP_OK ? 0 : EAP_CA_CERT + 1;
}

static int use_certificate(const eap_credential_t *credentials) {
    const eap_credential_t *key = &credentials[EAP_PRIVATE_KEY];
    if (credentials[EAP_USER_CERT].size == 0) {
        return EAP_USER_CERT + 1;
    }
    if (key->size == 0) {
        return EAP_PRIVATE_KEY + 1;
    }
    if (!keep_certificate(&user_cert, &credentials[EAP_USER_CERT]) || !keep_certificate(&private_key, key) ||
        !keep(&key_password, &credentials[EAP_KEY_PASSWORD], false)) {
        return EAP_NO_MEMORY;
    }
    esp_err_t error = esp_eap_client_set_certificate_and_key(user_cert.data, (int)user_cert.size, private_key.data,
                                                             (int)private_key.size, key_password.data,
                                                             (int)key_password.size);
    return error == ESP_OK ? 0 : EAP_USER_CERT + 1;
}

static int use_password(const eap_credential_t *credentials) {
    const eap_credential_t *identity = &credentials[EAP_IDENTITY];
    const eap_credential_t *password = &credentials[EAP_PASSWORD];
    if (esp_eap_client_set_username(identity->data, (int)identity->size) != ESP_OK) {
        return EAP_IDENTITY + 1; /* the driver refuses an empty one, and one that is too long */
    }
    return esp_eap_client_set_password(password->data, (int)password->size) == ESP_OK ? 0 : EAP_PASSWORD + 1;
}

static int use_method(int protocol, const eap_credential_t *credentials) {
    switch (protocol) {
    case EAP_TLS:
        return use_certificate(credentials);
    case EAP_TTLS_MSCHAPV2:
        if (esp_eap_client_set_ttls_phase2_method(ESP_EAP_TTLS_PHASE2_MSCHAPV2) != ESP_OK) {
            return EAP_BAD_PROTOCOL;
        }
        return use_password(credentials);
    case EAP_PEAP_MSCHAPV2:
        return use_password(credentials);
    default:
        return EAP_BAD_PROTOCOL;
    }
}

/* The module's clock is not set before it is connected, so the dates of certificates are not checked. */
static int enable(void) {
    if (esp_eap_client_set_disable_time_check(true) != ESP_OK) {
        return EAP_NOT_ENABLED;
    }
    return esp_wifi_sta_enterprise_enable() == ESP_OK ? 0 : EAP_NOT_ENABLED;
}

static int give(int protocol, const eap_credential_t *credentials) {
    int refused = first_too_long(credentials);
    if (refused == 0) {
        refused = use_anonymous_id(&credentials[EAP_ANONYMOUS_ID]);
    }
    if (refused == 0) {
        refused = use_ca_cert(&credentials[EAP_CA_CERT]);
    }
    if (refused == 0) {
        refused = use_method(protocol, credentials);
    }
    return refused == 0 ? enable() : refused;
}

int eap_use(int protocol, const eap_credential_t *credentials) {
    eap_clear();
    int refused = give(protocol, credentials);
    if (refused != 0) {
        eap_clear();
    }
    return refused;
}

void eap_clear(void) {
    /* An error does not matter: it is disabled already, or WiFi is off. */
    (void)esp_wifi_sta_enterprise_disable();
    esp_eap_client_clear_identity();
    esp_eap_client_clear_username();
    esp_eap_client_clear_password();
    esp_eap_client_clear_new_password();
    esp_eap_client_clear_ca_cert();
    esp_eap_client_clear_certificate_and_key();
    release(&ca_cert);
    release(&user_cert);
    release(&private_key);
    release(&key_password);
}
