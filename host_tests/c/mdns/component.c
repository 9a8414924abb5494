/* An mDNS component that sends nothing; `told` is what it would tell, one line for each thing. */
#include "mdns.h"

#include <stdio.h>
#include <string.h>

#define SERVICES 4

static bool running;
static char names[2][64];
static struct {
    char line[160];
    char kind[32];
    uint16_t port;
} services[SERVICES];

static int find(const char *kind) {
    for (int i = 0; i < SERVICES; i++) {
        if (strcmp(services[i].kind, kind) == 0) {
            return i;
        }
    }
    return -1;
}

esp_err_t mdns_init(void) {
    running = true;
    return ESP_OK;
}

static esp_err_t set(char *into, const char *name) {
    if (!running) {
        return ESP_ERR_INVALID_STATE;
    }
    if (name[0] == 0 || strlen(name) > 63) {
        return ESP_ERR_INVALID_ARG;
    }
    strcpy(into, name);
    return ESP_OK;
}

esp_err_t mdns_hostname_set(const char *hostname) {
    return set(names[0], hostname);
}

esp_err_t mdns_instance_name_set(const char *instance_name) {
    return set(names[1], instance_name);
}

bool mdns_service_exists(const char *service_type, const char *proto, const char *hostname) {
    (void)proto;
    return hostname == NULL && find(service_type) >= 0;
}

esp_err_t mdns_service_add(const char *instance_name, const char *service_type, const char *proto,
    uint16_t port, mdns_txt_item_t txt[], size_t num_items) {
    int free = find("");
    if (!running || instance_name || free < 0 || find(service_type) >= 0 || num_items != 2) {
        return ESP_ERR_INVALID_ARG;
    }
    strcpy(services[free].kind, service_type);
    services[free].port = port;
    snprintf(services[free].line, sizeof(services[free].line), "%s.%s %s=%s %s=%s", service_type, proto,
        txt[0].key, txt[0].value, txt[1].key, txt[1].value);
    return ESP_OK;
}

esp_err_t mdns_service_remove(const char *service_type, const char *proto) {
    (void)proto;
    int i = find(service_type);
    if (i < 0) {
        return ESP_ERR_NOT_FOUND;
    }
    services[i].kind[0] = 0;
    return ESP_OK;
}

esp_err_t mdns_service_port_set(const char *service_type, const char *proto, uint16_t port) {
    (void)proto;
    int i = find(service_type);
    if (i < 0) {
        return ESP_ERR_NOT_FOUND;
    }
    services[i].port = port;
    return ESP_OK;
}

/* What is told now. */
const char *told(void) {
    static char text[1024];
    int n = snprintf(text, sizeof(text), "%s %s\n", names[0], names[1]);
    for (int i = 0; i < SERVICES; i++) {
        if (services[i].kind[0]) {
            n += snprintf(text + n, sizeof(text) - n, "%d %s\n", services[i].port, services[i].line);
        }
    }
    return text;
}
