/*
 * The pins: levels, which side may drive them, and the interrupts of the service that MicroPython has installed.
 *
 * As on a chip an output's level is 0 until it is set, and an edge is remembered whether its handler can run or
 * not.
 */
#include "driver/gpio.h"
#include "esp_rom_gpio.h"
#include "fake_chip.h"
#include "hal/gpio_ll.h"

#define PINS 40
#define TRACE 1024

static struct {
    bool low;         /* the other side's level; the pull-ups of a board make it high */
    int out;          /* what it would drive */
    bool enabled;     /* GPIO_ENABLE: the program lets it drive */
    bool peripherals; /* a peripheral says when it drives, not GPIO_ENABLE */
    bool in_iomux;    /* no other can say so */
    gpio_int_type_t type;
    gpio_isr_t handler;
    bool pending;
    char trace[TRACE]; /* each level that was set and is another than the last */
    int traced;
} pins[PINS];

static bool without_service;
static bool selects_at_look; /* CS falls, and its interrupt runs, after the program has looked at it */

gpio_dev_t GPIO;

static bool is_pin(int pin) {
    return pin >= 0 && pin < PINS;
}

/* The index of a pin whose register is written, or of one that is not used. */
static uint32_t checked(uint32_t pin) {
    if (!is_pin((int)pin)) {
        fake_violation("the register of a pin that there is not");
        return 0;
    }
    return pin;
}

/* ---- for tests ---- */

/* What the pin drives; -1: nothing, by GPIO_ENABLE. */
int fake_pin_drives(int pin) {
    return pins[pin].enabled ? pins[pin].out : -1;
}

int fake_pin_out(int pin) {
    return pins[pin].out;
}

const char *fake_pin_trace(int pin) {
    return pins[pin].trace;
}

void fake_without_isr_service(bool without) {
    without_service = without;
}

void fake_select_at_next_look(void) {
    selects_at_look = true;
}

/* MicroPython, at a soft reset. */
void fake_machine_pins_deinit(void) {
    for (int i = 0; i < PINS; i++) {
        gpio_isr_handler_remove(i);
    }
}

/* ---- for the fakes ---- */

void fake_pin_input(int pin, int level) {
    bool fell = !level && !pins[pin].low;
    pins[pin].low = !level;
    if (fell && pins[pin].type == GPIO_INTR_NEGEDGE) {
        pins[pin].pending = true;
    }
}

void fake_pin_connect(int pin, bool to_peripheral, bool in_iomux) {
    pins[pin].peripherals = to_peripheral;
    pins[pin].in_iomux = in_iomux;
    pins[pin].enabled = to_peripheral;
}

bool fake_pin_reaches_wire(int pin) {
    return pins[pin].peripherals || pins[pin].enabled;
}

bool fake_gpio_interrupt(void) {
    for (int i = 0; i < PINS; i++) {
        if (pins[i].pending && pins[i].handler) {
            pins[i].pending = false;
            pins[i].handler(NULL);
            return true;
        }
    }
    return false;
}

/* ---- ESP-IDF ---- */

esp_err_t gpio_pullup_dis(gpio_num_t gpio_num) {
    return is_pin(gpio_num) ? ESP_OK : ESP_ERR_INVALID_ARG;
}

esp_err_t gpio_set_intr_type(gpio_num_t gpio_num, gpio_int_type_t intr_type) {
    if (!is_pin(gpio_num)) {
        return ESP_ERR_INVALID_ARG;
    }
    pins[gpio_num].type = intr_type;
    return ESP_OK;
}

static esp_err_t handle_by(gpio_num_t gpio_num, gpio_isr_t handler) {
    if (fake_in_isr) {
        fake_violation("a handler is changed in an interrupt");
    }
    if (without_service) {
        return ESP_ERR_INVALID_STATE;
    }
    if (!is_pin(gpio_num)) {
        return ESP_ERR_INVALID_ARG;
    }
    fake_held += (handler != NULL) - (pins[gpio_num].handler != NULL);
    pins[gpio_num].handler = handler;
    fake_run_interrupts();
    return ESP_OK;
}

esp_err_t gpio_isr_handler_add(gpio_num_t gpio_num, gpio_isr_t isr_handler, void *args) {
    if (args) {
        fake_violation("the fake hands no argument on");
    }
    return handle_by(gpio_num, isr_handler);
}

esp_err_t gpio_isr_handler_remove(gpio_num_t gpio_num) {
    return handle_by(gpio_num, NULL);
}

int gpio_ll_get_level(gpio_dev_t *hw, uint32_t gpio_num) {
    (void)hw;
    int level = !pins[checked(gpio_num)].low;
    if (selects_at_look) {
        selects_at_look = false;
        fake_controller_cs(0);
        fake_gpio_interrupt(); /* its priority may be the higher one */
    }
    return level;
}

void gpio_ll_set_level(gpio_dev_t *hw, uint32_t gpio_num, uint32_t level) {
    (void)hw;
    uint32_t i = checked(gpio_num);
    if ((pins[i].out != (int)level || !pins[i].traced) && pins[i].traced < TRACE - 1) {
        pins[i].trace[pins[i].traced++] = level ? '1' : '0';
    }
    pins[i].out = (int)level;
}

void gpio_ll_output_enable(gpio_dev_t *hw, uint32_t gpio_num) {
    (void)hw;
    pins[checked(gpio_num)].enabled = true;
}

void gpio_ll_output_disable(gpio_dev_t *hw, uint32_t gpio_num) {
    (void)hw;
    pins[checked(gpio_num)].enabled = false;
}

void gpio_ll_set_output_enable_ctrl(gpio_dev_t *hw, uint8_t gpio_num, bool ctrl_by_periph, bool oen_inv) {
    (void)hw;
    if (oen_inv) {
        fake_violation("an output that is enabled the wrong way round");
    }
    if (pins[checked(gpio_num)].in_iomux) {
        fake_violation("a pin that is connected past the GPIO matrix");
    }
    pins[checked(gpio_num)].peripherals = ctrl_by_periph;
}
