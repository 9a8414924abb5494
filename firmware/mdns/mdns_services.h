/*
 * The module's name and services, announced by ESP-IDF's mDNS component. Knows no MicroPython.
 *
 * All functions return ESP-IDF's error, or 0. All wait for the component's own task, some for more than
 * 10 ms: they must not be called in the thread that serves the link.
 */
#ifndef MDNS_SERVICES_H
#define MDNS_SERVICES_H

#include <stdint.h>

/* The TXT record, which is the same for all services. */
typedef struct {
    const char *product;
    const char *version;
} services_text_t;

/* Sets the host name (without .local) that the services have too. Starts the component if it does not run. */
int services_name(const char *label);

/* Offers a service over TCP, such as "_http". A service that is offered already gets this port. */
int services_offer(const char *kind, uint16_t port, const services_text_t *text);

/* Ends the offer; nothing happens when there is none. */
int services_withdraw(const char *kind);

#endif
