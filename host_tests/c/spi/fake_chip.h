/*
 * What the fakes of ESP-IDF's drivers share: the chip's memory, its SPIs, its interrupts.
 *
 * A fake refuses what the driver of ESP-IDF 5.4 and 5.5 refuses, with the same error. What the driver
 * leaves to luck is a violation: the first one is kept, and fails the test.
 *
 * Interrupts run at the end of the call or of the burst that raised them, on the one core that there
 * is; while they are held (fake_hold_interrupts) the other side goes on unnoticed.
 */
#ifndef FAKE_CHIP_H
#define FAKE_CHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#define FAKE_HOSTS 3

/* Keeps the first one. */
void fake_violation(const char *what);

/* True when a test wants this call to run out of memory. */
bool fake_runs_out(void);

/* True for n bytes inside one block that DMA reaches. */
bool fake_dma_reaches(const void *memory, size_t n);

/* An SPI and its pins are one driver's. ESP_ERR_INVALID_STATE when they are taken. */
esp_err_t fake_claim(int host);
void fake_release(int host);

/* What tests count: hosts, devices, counters, handlers that were not given back. */
extern int fake_held;

/* Set while an interrupt runs. */
extern bool fake_in_isr;

void fake_run_interrupts(void);

/* Each of the interrupts: false when nothing is pending. */
bool fake_gpio_interrupt(void);
bool fake_slave_interrupt(void);
bool fake_counter_interrupt(void);

/* One falling edge of SCK at the counter's pin. */
void fake_counter_edge(void);

/* The controller drives CS. */
void fake_controller_cs(int level);

/* The other side's level at a pin. */
void fake_pin_input(int pin, int level);

/* Whether the pin is the output of a peripheral, and whether past the GPIO matrix. */
void fake_pin_connect(int pin, bool to_peripheral, bool in_iomux);

/* What a peripheral puts out at this pin may be seen on the wire. */
bool fake_pin_reaches_wire(int pin);

/* The chip-select that the SPI slave sees was routed anew. */
void fake_select_by(uint32_t source, uint32_t signal);

#endif
