#ifndef DRIVER_GPIO_H
#define DRIVER_GPIO_H

#include "esp_err.h"

typedef int gpio_num_t;
typedef void (*gpio_isr_t)(void *arg);
typedef enum { GPIO_INTR_DISABLE = 0, GPIO_INTR_POSEDGE = 1, GPIO_INTR_NEGEDGE = 2 } gpio_int_type_t;

esp_err_t gpio_pullup_dis(gpio_num_t gpio_num);
esp_err_t gpio_set_intr_type(gpio_num_t gpio_num, gpio_int_type_t intr_type);
esp_err_t gpio_isr_handler_add(gpio_num_t gpio_num, gpio_isr_t isr_handler, void *args);
esp_err_t gpio_isr_handler_remove(gpio_num_t gpio_num);

#endif
