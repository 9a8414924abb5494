/* The chips' platform: the wake-up is a FreeRTOS binary semaphore. */
#include "platform.h"

#include <errno.h>

#include "esp_attr.h"
#include "esp_heap_caps.h"
#include "esp_netif.h"
#include "freertos/FreeRTOS.h"
#include "freertos/semphr.h"

static StaticSemaphore_t storage;
static SemaphoreHandle_t semaphore;

void platform_start(void) {
    if (semaphore == NULL) {
        semaphore = xSemaphoreCreateBinaryStatic(&storage);
    }
}

void platform_sleep(uint32_t ms) {
    xSemaphoreTake(semaphore, pdMS_TO_TICKS(ms));
}

void platform_wake(void) {
    xSemaphoreGive(semaphore);
}

void IRAM_ATTR platform_wake_from_isr(void) {
    BaseType_t switch_needed = pdFALSE;
    xSemaphoreGiveFromISR(semaphore, &switch_needed);
    portYIELD_FROM_ISR(switch_needed);
}

size_t platform_memory_free(void) {
    return heap_caps_get_free_size(MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT);
}

/* esp_netif_init() is idempotent: network.WLAN may call it before or after this. */
int platform_stack_ready(void) {
    return esp_netif_init() == ESP_OK ? 0 : ENOMEM;
}
