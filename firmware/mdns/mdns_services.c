#include "mdns_services.h"

#include "mdns.h"

static const char TCP[] = "_tcp";

int services_name(const char *label) {
    /* MicroPython starts the component when the station gets its first address. As an access point the
     * component does not run yet. Starting it again does nothing. */
    esp_err_t error = mdns_init();
    if (error == ESP_OK) {
        error = mdns_hostname_set(label);
    }
    if (error == ESP_OK) {
        error = mdns_instance_name_set(label);
    }
    return error;
}

int services_offer(const char *kind, uint16_t port, const services_text_t *text) {
    if (mdns_service_exists(kind, TCP, NULL)) {
        return mdns_service_port_set(kind, TCP, port);
    }
    mdns_txt_item_t items[] = {
        { "product", text->product },
        { "version", text->version },
    };
    return mdns_service_add(NULL, kind, TCP, port, items, sizeof(items) / sizeof(items[0]));
}

int services_withdraw(const char *kind) {
    return mdns_service_exists(kind, TCP, NULL) ? mdns_service_remove(kind, TCP) : ESP_OK;
}
