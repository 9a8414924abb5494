/*
 * The station's WPA2-Enterprise login, over ESP-IDF's EAP client. Knows no MicroPython.
 *
 * One thread calls these functions, with WiFi initialised, before the station connects.
 */
#ifndef EAP_LOGIN_H
#define EAP_LOGIN_H

#include <stddef.h>

/* As the link protocol's WirelessConfig numbers them. */
enum { EAP_TLS = 1, EAP_PEAP_MSCHAPV2 = 2, EAP_TTLS_MSCHAPV2 = 3 };

/* The credentials, in the link protocol's order. EAP_TLS uses two places for something else. */
enum {
    EAP_ANONYMOUS_ID,
    EAP_CA_CERT,
    EAP_IDENTITY,
    EAP_PASSWORD,
    EAP_KEY_PASSWORD,
    EAP_CREDENTIALS,
    EAP_USER_CERT = EAP_IDENTITY,
    EAP_PRIVATE_KEY = EAP_PASSWORD,
};

typedef struct {
    const unsigned char *data;
    size_t size; /* 0: there is none */
} eap_credential_t;

/* Results of eap_use() beyond 0 and the number of a credential plus 1. */
enum { EAP_BAD_PROTOCOL = EAP_CREDENTIALS + 1, EAP_NO_MEMORY, EAP_NOT_ENABLED };

/* Gives the driver this login in place of any earlier one. `credentials` are EAP_CREDENTIALS in number; they
 * are copied. 0, or which credential the driver refused plus 1, or another error: the driver has no login
 * then. */
int eap_use(int protocol, const eap_credential_t *credentials);

/* Takes the login away from the driver and overwrites the copies. */
void eap_clear(void);

#endif
