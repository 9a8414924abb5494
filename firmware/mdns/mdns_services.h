/*
 * Our name and services, told by ESP-IDF's mDNS component. No Python in here.
 *
 * All return ESP-IDF's error, 0 when it worked. All wait for the component's own task, some for more
 * than 10 ms: never call them where a link is served.
 */
#ifndef MDNS_SERVICES_H
#define MDNS_SERVICES_H

#include <stdint.h>

/* A service's TXT record, which is the same for all of ours. */
typedef struct {
    const char *product;
    const char *version;
} mdns_services_text_t;

/* Be known by this label (without .local); services follow. Starts the component if nobody has. */
int mdns_services_name(const char *label);

/* Offer a service of TCP, as "_http", on this port; one that is offered already moves there. */
int mdns_services_offer(const char *kind, uint16_t port, const mdns_services_text_t *text);

/* Offer it no longer; nothing happens when it is not. */
int mdns_services_withdraw(const char *kind);

#endif
