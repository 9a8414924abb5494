#include "mdns_services.h"

#include "mdns.h"

static const char TCP[] = "_tcp";

int mdns_services_name(const char *label) {
    /* MicroPython starts the component with the station's first address, and never frees it: starting
     * it again is allowed and does nothing. As an access point we are the first. */
    esp_err_t error = mdns_init();
    if (error == ESP_OK) {
        error = mdns_hostname_set(label);
    }
    if (error == ESP_OK) {
        error = mdns_instance_name_set(label);
    }
    return error;
}

int mdns_services_offer(const char *kind, uint16_t port, const mdns_services_text_t *text) {
    if (mdns_service_exists(kind, TCP, NULL)) {
        return mdns_service_port_set(kind, TCP, port);
    }
    mdns_txt_item_t items[] = {
        { "product", text->product },
        { "version", text->version },
    };
    return mdns_service_add(NULL, kind, TCP, port, items, sizeof(items) / sizeof(items[0]));
}

int mdns_services_withdraw(const char *kind) {
    return mdns_service_exists(kind, TCP, NULL) ? mdns_service_remove(kind, TCP) : ESP_OK;
}
