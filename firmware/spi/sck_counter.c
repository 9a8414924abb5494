#include "sck_counter.h"

#include <stddef.h>

#include "esp_err.h"

#if SCK_COUNTER_THERE

#include "driver/gpio.h"
#include "driver/pulse_cnt.h"
#include "esp_attr.h"

/* The end of the counter's range, which is more than the bits of the longest phase (2048 bytes). */
#define EDGES_MAX 32767

static pcnt_unit_handle_t unit; /* NULL: not running */
static pcnt_channel_handle_t channel;
static int edges_awaited; /* the watch point that is set; 0: none */
static void (*tell)(void);

static bool IRAM_ATTR on_reach(pcnt_unit_handle_t same, const pcnt_watch_event_data_t *event, void *context) {
    (void)same;
    (void)event;
    (void)context;
    tell();
    return false;
}

/* In mode 1 a bit is sampled as SCK falls. */
static int listen_to(int sck) {
    pcnt_chan_config_t config = {.edge_gpio_num = sck, .level_gpio_num = -1};
    int error = pcnt_new_channel(unit, &config, &channel);
    if (!error) {
        gpio_pullup_dis(sck); /* the counter's driver pulls it up; SCK is idle low */
        error = pcnt_channel_set_edge_action(
            channel, PCNT_CHANNEL_EDGE_ACTION_HOLD, PCNT_CHANNEL_EDGE_ACTION_INCREASE);
    }
    return error;
}

static int set_up(int sck) {
    pcnt_unit_config_t config = {.low_limit = -1, .high_limit = EDGES_MAX};
    pcnt_event_callbacks_t callbacks = {.on_reach = on_reach};
    int error = pcnt_new_unit(&config, &unit);
    if (!error) {
        error = listen_to(sck);
    }
    if (!error) {
        error = pcnt_unit_register_event_callbacks(unit, &callbacks, NULL);
    }
    if (!error) {
        error = pcnt_unit_enable(unit);
    }
    return error;
}

int sck_counter_start(int sck, void (*reached)(void)) {
    tell = reached;
    edges_awaited = 0;
    int error = set_up(sck);
    return error ? error : pcnt_unit_start(unit);
}

/* A step whose counterpart in start() did not succeed returns an error, which does no harm. */
void sck_counter_stop(void) {
    if (unit != NULL) {
        pcnt_unit_stop(unit);
        pcnt_unit_disable(unit);
        if (channel != NULL) {
            pcnt_del_channel(channel);
        }
        pcnt_del_unit(unit);
    }
    unit = NULL;
    channel = NULL;
}

static int watch_for(int edges) {
    if (edges_awaited) {
        pcnt_unit_remove_watch_point(unit, edges_awaited);
    }
    int error = pcnt_unit_add_watch_point(unit, edges);
    edges_awaited = error ? 0 : edges;
    return error;
}

/* A new watch point takes effect when the counter is cleared. */
int sck_counter_arm(int edges) {
    int error = watch_for(edges);
    return error ? error : pcnt_unit_clear_count(unit);
}

int sck_counter_value(void) {
    int value = 0;
    pcnt_unit_get_count(unit, &value);
    return value;
}

#else

int sck_counter_start(int sck, void (*reached)(void)) {
    (void)sck;
    (void)reached;
    return ESP_ERR_NOT_SUPPORTED;
}

void sck_counter_stop(void) {}

int sck_counter_arm(int edges) {
    (void)edges;
    return ESP_ERR_NOT_SUPPORTED;
}

int sck_counter_value(void) {
    return 0;
}

#endif
