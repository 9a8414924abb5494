/* Memory, pins and interrupts of the fake chip, and what a test sets and asks. */
#include "fake_chip.h"

#include <stdlib.h>
#include <string.h>

#include "esp_heap_caps.h"
#include "esp_rom_gpio.h"
#include "soc/spi_periph.h"

#define BLOCKS 8
/* Blocks are aligned to words and to no more than that. */
#define MISALIGNMENT 4

static struct {
    uint8_t *base;
    size_t size;
    uint32_t caps;
} blocks[BLOCKS];

static const char *first_violation = "";
static int calls_until_full = -1;
static bool claimed[FAKE_HOSTS];
static bool interrupts_held;
static bool pins_last; /* the interrupt of the pins comes after the others */

int fake_held;
bool fake_in_isr;

const spi_signal_conn_t spi_periph_signal[SOC_SPI_PERIPH_NUM] = {{11}, {68}, {13}};

/* ---- for tests ---- */

const char *fake_first_violation(void) {
    return first_violation;
}

/* The n-th call from now on that takes memory gets none; 0: all do. */
void fake_run_out_at(int n) {
    calls_until_full = n ? n : -1;
}

int fake_things_held(void) {
    return fake_held;
}

int fake_blocks(void) {
    int count = 0;
    for (int i = 0; i < BLOCKS; i++) {
        count += blocks[i].base != NULL;
    }
    return count;
}

void fake_hold_interrupts(bool held) {
    interrupts_held = held;
    fake_run_interrupts();
}

void fake_pins_interrupt_last(bool last) {
    pins_last = last;
}

/* ---- for the fakes ---- */

void fake_violation(const char *what) {
    if (!first_violation[0]) {
        first_violation = what;
    }
}

bool fake_runs_out(void) {
    if (fake_in_isr) {
        fake_violation("memory is taken in an interrupt");
    }
    return calls_until_full > 0 && --calls_until_full == 0;
}

esp_err_t fake_claim(int host) {
    if (claimed[host]) {
        return ESP_ERR_INVALID_STATE;
    }
    claimed[host] = true;
    fake_held++;
    return ESP_OK;
}

void fake_release(int host) {
    claimed[host] = false;
    fake_held--;
}

void fake_run_interrupts(void) {
    if (interrupts_held || fake_in_isr) {
        return;
    }
    fake_in_isr = true;
    while ((!pins_last && fake_gpio_interrupt()) || fake_counter_interrupt() || fake_slave_interrupt() ||
           fake_gpio_interrupt()) {
    }
    fake_in_isr = false;
}

bool fake_dma_reaches(const void *memory, size_t n) {
    for (int i = 0; i < BLOCKS; i++) {
        const uint8_t *start = blocks[i].base + MISALIGNMENT;
        const uint8_t *wanted = memory;
        if (blocks[i].base && wanted >= start && wanted + n <= start + blocks[i].size) {
            return blocks[i].caps & MALLOC_CAP_DMA;
        }
    }
    return false;
}

/* ---- ESP-IDF ---- */

void *heap_caps_malloc(size_t size, uint32_t caps) {
    if (!(caps & (MALLOC_CAP_DMA | MALLOC_CAP_8BIT))) {
        fake_violation("memory that a chip may read and write by words only");
    }
    bool full = fake_runs_out();
    for (int i = 0; !full && i < BLOCKS; i++) {
        if (blocks[i].base == NULL) {
            blocks[i].base = malloc(size + MISALIGNMENT);
            blocks[i].size = size;
            blocks[i].caps = caps;
            memset(blocks[i].base, 0xa5, size + MISALIGNMENT);
            return blocks[i].base + MISALIGNMENT;
        }
    }
    return NULL;
}

void heap_caps_free(void *memory) {
    for (int i = 0; memory && i < BLOCKS; i++) {
        if (blocks[i].base && blocks[i].base + MISALIGNMENT == memory) {
            free(blocks[i].base);
            blocks[i].base = NULL;
            return;
        }
    }
    if (memory) {
        fake_violation("freed what is no block");
    }
}

void esp_rom_gpio_connect_in_signal(uint32_t gpio_num, uint32_t signal_idx, bool inv) {
    if (inv) {
        fake_violation("an inverted chip-select");
    }
    fake_select_by(gpio_num, signal_idx);
    fake_run_interrupts();
}
