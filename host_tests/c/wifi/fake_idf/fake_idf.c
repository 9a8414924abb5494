/*
 * A driver that behaves as ESP-IDF's: names and passwords are copied and limited, certificates and
 * keys are pointers that are followed only when a handshake begins (look_*). A call that a test named
 * with fail_at fails.
 */
#include "esp_eap_client.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 128, SLOTS = 7 };
enum { IDENTITY, USERNAME, PASSWORD, CA_CERT, CERT, KEY, KEY_PASSWORD };

typedef struct {
    const unsigned char *data; /* NULL: not set */
    int len;
    unsigned char copy[4096];
} slot_t;

static slot_t slots[SLOTS];
static int calls, fails_at = -1, phase2 = -1;
static bool enabled, time_check_off;
static int blocks, malloc_fails_at = -1, mallocs;
static int dirty; /* blocks that were freed with something in them */

/* ---- the heap of the core: eap_login.c is compiled with these for malloc() and free() ---- */

void *counted_malloc(size_t n) {
    if (mallocs++ == malloc_fails_at) {
        return NULL;
    }
    size_t *block = malloc(sizeof(size_t) + n);
    *block = n;
    blocks++;
    return block + 1;
}

void counted_free(void *p) {
    if (p == NULL) {
        return;
    }
    size_t *block = (size_t *)p - 1;
    for (size_t i = 0; i < *block; i++) {
        if (((unsigned char *)p)[i] != 0) {
            dirty++;
            break;
        }
    }
    memset(p, 0xdd, *block); /* a read through an old pointer shows that */
    free(block);
    blocks--;
}

/* ---- what tests ask ---- */

void fake_reset(int fail_call, int fail_malloc) {
    memset(slots, 0, sizeof(slots));
    calls = mallocs = dirty = 0;
    fails_at = fail_call;
    malloc_fails_at = fail_malloc;
    phase2 = -1;
    enabled = time_check_off = false;
}

int fake_look(int slot, unsigned char *into) {
    if (slots[slot].data == NULL) {
        return -1;
    }
    memcpy(into, slots[slot].data, slots[slot].len);
    return slots[slot].len;
}

/* The password of a key is followed to its NUL. */
int fake_key_password_length(void) {
    return (int)strlen((const char *)slots[KEY_PASSWORD].data);
}

int fake_blocks(void) { return blocks; }
int fake_dirty(void) { return dirty; }
int fake_enabled(void) { return enabled; }
int fake_time_check_off(void) { return time_check_off; }
int fake_phase2(void) { return phase2; }

/* ---- the driver ---- */

static bool fails(void) { return calls++ == fails_at; }

static esp_err_t copy(int slot, const unsigned char *data, int len, int most) {
    if (len <= 0 || len > most) {
        return ESP_ERR_INVALID_ARG;
    }
    if (fails()) {
        return ESP_ERR_NO_MEM;
    }
    memcpy(slots[slot].copy, data, len);
    slots[slot].data = slots[slot].copy;
    slots[slot].len = len;
    return ESP_OK;
}

static void point(int slot, const unsigned char *data, int len) {
    if (data != NULL && len > 0) {
        slots[slot].data = data;
        slots[slot].len = len;
    }
}

static void clear(int slot) {
    slots[slot].data = NULL;
    slots[slot].len = 0;
}

esp_err_t esp_wifi_sta_enterprise_enable(void) {
    if (fails()) {
        return ESP_FAIL;
    }
    enabled = true;
    return ESP_OK;
}

esp_err_t esp_wifi_sta_enterprise_disable(void) {
    enabled = false;
    return ESP_OK;
}

esp_err_t esp_eap_client_set_identity(const unsigned char *identity, int len) {
    return copy(IDENTITY, identity, len, LONGEST_NAME);
}

esp_err_t esp_eap_client_set_username(const unsigned char *username, int len) {
    return copy(USERNAME, username, len, LONGEST_NAME);
}

esp_err_t esp_eap_client_set_password(const unsigned char *password, int len) {
    return copy(PASSWORD, password, len, sizeof(slots[0].copy));
}

esp_err_t esp_eap_client_set_ca_cert(const unsigned char *cert, int len) {
    if (fails()) {
        return ESP_FAIL;
    }
    point(CA_CERT, cert, len);
    return ESP_OK;
}

esp_err_t esp_eap_client_set_certificate_and_key(const unsigned char *cert, int cert_len, const unsigned char *key,
                                                 int key_len, const unsigned char *key_password,
                                                 int key_password_len) {
    if (fails()) {
        return ESP_FAIL;
    }
    point(CERT, cert, cert_len);
    point(KEY, key, key_len);
    point(KEY_PASSWORD, key_password, key_password_len);
    return ESP_OK;
}

esp_err_t esp_eap_client_set_disable_time_check(bool disable) {
    if (fails()) {
        return ESP_FAIL;
    }
    time_check_off = disable;
    return ESP_OK;
}

esp_err_t esp_eap_client_set_ttls_phase2_method(esp_eap_ttls_phase2_types type) {
    if (fails()) {
        return ESP_FAIL;
    }
    phase2 = (int)type;
    return ESP_OK;
}

void esp_eap_client_clear_identity(void) { clear(IDENTITY); }
void esp_eap_client_clear_username(void) { clear(USERNAME); }
void esp_eap_client_clear_password(void) { clear(PASSWORD); }
void esp_eap_client_clear_new_password(void) {}
void esp_eap_client_clear_ca_cert(void) { clear(CA_CERT); }

void esp_eap_client_clear_certificate_and_key(void) {
    clear(CERT);
    clear(KEY);
    clear(KEY_PASSWORD);
}
