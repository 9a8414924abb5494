/*
 * WPA2-Enterprise login for the station, over ESP-IDF's EAP client. Knows no MicroPython.
 *
 * Call from one thread, with WiFi initialised, before the station connects.
 */
#ifndef EAP_LOGIN_H
#define EAP_LOGIN_H

#include <stddef.h>

/* The protocols of the link protocol's WirelessConfig. */
enum { EAP_TLS = 1, EAP_PEAP_MSCHAPV2 = 2, EAP_TTLS_MSCHAPV2 = 3 };

/* The credentials, in the link protocol's order; two places mean something else for EAP_TLS. */
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

/* What eap_use() returns: 0, the number of a credential plus 1, or one of these. */
enum { EAP_BAD_PROTOCOL = EAP_CREDENTIALS + 1, EAP_NO_MEMORY, EAP_NOT_ENABLED };

/* Give the driver this login, in place of any earlier one. `credentials` has EAP_CREDENTIALS of them,
 * which are copied: the caller may forget them. When it fails the driver has none. */
int eap_use(int protocol, const eap_credential_t *credentials);

/* Take the login away from the driver and overwrite what was copied. */
void eap_clear(void);

#endif
