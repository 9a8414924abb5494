#ifndef DRIVER_GPIO_H
#define DRIVER_GPIO_H

#include "esp_err.h"

typedef int gpio_num_t;

esp_err_t gpio_pullup_dis(gpio_num_t gpio_num);

#endif
