/* ESP-IDF's are inline and write registers; they check nothing. */
#ifndef GPIO_LL_H
#define GPIO_LL_H

#include <stdbool.h>
#include <stdint.h>

#include "soc/gpio_struct.h"

int gpio_ll_get_level(gpio_dev_t *hw, uint32_t gpio_num);
void gpio_ll_set_level(gpio_dev_t *hw, uint32_t gpio_num, uint32_t level);
void gpio_ll_output_enable(gpio_dev_t *hw, uint32_t gpio_num);
void gpio_ll_output_disable(gpio_dev_t *hw, uint32_t gpio_num);
void gpio_ll_set_output_enable_ctrl(gpio_dev_t *hw, uint8_t gpio_num, bool ctrl_by_periph, bool oen_inv);

#endif
