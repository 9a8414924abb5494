#ifndef GPIO_STRUCT_H
#define GPIO_STRUCT_H

typedef struct {
    int unused;
} gpio_dev_t;

extern gpio_dev_t GPIO;

#endif
