/* ESP-IDF's pulse counter, of which there is one unit with one channel, wired to SCK. */
#include "driver/pulse_cnt.h"

#include "fake_chip.h"

#define MAX_LIMIT 32767

struct pcnt_unit_t {
    bool taken;
    bool enabled;
    bool counting;
    int high_limit;
    int count;
    int watched;   /* 0: nothing */
    int effective; /* the watch point that the hardware compares with; taken over when cleared */
    bool pending;
    pcnt_watch_cb_t on_reach;
};

struct pcnt_chan_t {
    bool taken;
    bool counts_falling;
};

static struct pcnt_unit_t the_unit;
static struct pcnt_chan_t the_channel;

void fake_counter_edge(void) {
    if (!the_unit.counting || !the_channel.counts_falling) {
        return;
    }
    the_unit.count++;
    if (the_unit.count == the_unit.effective) {
        the_unit.pending = true;
    }
    if (the_unit.count == the_unit.high_limit) {
        the_unit.count = 0;
    }
}

bool fake_counter_interrupt(void) {
    pcnt_watch_event_data_t event = {the_unit.effective};
    if (!the_unit.pending || !the_unit.enabled) {
        return false;
    }
    the_unit.pending = false;
    if (the_unit.on_reach) {
        the_unit.on_reach(&the_unit, &event, NULL);
    }
    return true;
}

esp_err_t pcnt_new_unit(const pcnt_unit_config_t *config, pcnt_unit_handle_t *ret_unit) {
    if (config->low_limit >= 0 || config->high_limit <= 0 || config->high_limit > MAX_LIMIT) {
        return ESP_ERR_INVALID_ARG;
    }
    if (fake_runs_out()) {
        return ESP_ERR_NO_MEM;
    }
    if (the_unit.taken) {
        return ESP_ERR_NOT_FOUND;
    }
    the_unit = (struct pcnt_unit_t){.taken = true, .high_limit = config->high_limit};
    fake_held++;
    *ret_unit = &the_unit;
    return ESP_OK;
}

esp_err_t pcnt_del_unit(pcnt_unit_handle_t unit) {
    if (!unit) {
        return ESP_ERR_INVALID_ARG;
    }
    if (unit->enabled || the_channel.taken) {
        fake_violation("a counter is deleted while it is in use");
        return ESP_ERR_INVALID_STATE;
    }
    unit->taken = false;
    fake_held--;
    return ESP_OK;
}

esp_err_t pcnt_unit_enable(pcnt_unit_handle_t unit) {
    if (!unit || unit->enabled) {
        return unit ? ESP_ERR_INVALID_STATE : ESP_ERR_INVALID_ARG;
    }
    unit->enabled = true;
    return ESP_OK;
}

esp_err_t pcnt_unit_disable(pcnt_unit_handle_t unit) {
    if (!unit || !unit->enabled) {
        return unit ? ESP_ERR_INVALID_STATE : ESP_ERR_INVALID_ARG;
    }
    unit->enabled = false;
    return ESP_OK;
}

static esp_err_t set_counting(pcnt_unit_handle_t unit, bool counting) {
    if (!unit || !unit->enabled) {
        return unit ? ESP_ERR_INVALID_STATE : ESP_ERR_INVALID_ARG;
    }
    unit->counting = counting;
    return ESP_OK;
}

esp_err_t pcnt_unit_start(pcnt_unit_handle_t unit) {
    return set_counting(unit, true);
}

esp_err_t pcnt_unit_stop(pcnt_unit_handle_t unit) {
    return set_counting(unit, false);
}

esp_err_t pcnt_unit_clear_count(pcnt_unit_handle_t unit) {
    if (!unit) {
        return ESP_ERR_INVALID_ARG;
    }
    unit->count = 0;
    unit->effective = unit->watched;
    return ESP_OK;
}

esp_err_t pcnt_unit_get_count(pcnt_unit_handle_t unit, int *value) {
    if (!unit) {
        return ESP_ERR_INVALID_ARG;
    }
    *value = unit->count;
    return ESP_OK;
}

esp_err_t pcnt_unit_register_event_callbacks(pcnt_unit_handle_t unit, const pcnt_event_callbacks_t *cbs,
                                             void *user_data) {
    (void)user_data;
    if (unit->enabled) {
        return ESP_ERR_INVALID_STATE;
    }
    if (fake_runs_out()) {
        return ESP_ERR_NO_MEM;
    }
    unit->on_reach = cbs->on_reach;
    return ESP_OK;
}

esp_err_t pcnt_unit_add_watch_point(pcnt_unit_handle_t unit, int watch_point) {
    if (!unit || watch_point > unit->high_limit || watch_point <= 0) {
        return ESP_ERR_INVALID_ARG;
    }
    if (unit->watched) {
        return unit->watched == watch_point ? ESP_ERR_INVALID_STATE : ESP_ERR_NOT_FOUND;
    }
    unit->watched = watch_point;
    return ESP_OK;
}

esp_err_t pcnt_unit_remove_watch_point(pcnt_unit_handle_t unit, int watch_point) {
    if (!unit || unit->watched != watch_point) {
        fake_violation("a watch point that is none is removed");
        return ESP_ERR_INVALID_STATE;
    }
    unit->watched = 0;
    return ESP_OK;
}

esp_err_t pcnt_new_channel(pcnt_unit_handle_t unit, const pcnt_chan_config_t *config,
                           pcnt_channel_handle_t *ret_chan) {
    if (!unit || unit->enabled || the_channel.taken) {
        return ESP_ERR_INVALID_STATE;
    }
    if (config->edge_gpio_num < 0 || config->level_gpio_num >= 0) {
        fake_violation("the counter listens to the wrong pins");
    }
    if (fake_runs_out()) {
        return ESP_ERR_NO_MEM;
    }
    the_channel = (struct pcnt_chan_t){.taken = true};
    *ret_chan = &the_channel;
    return ESP_OK;
}

esp_err_t pcnt_del_channel(pcnt_channel_handle_t chan) {
    if (!chan || !chan->taken) {
        return ESP_ERR_INVALID_ARG;
    }
    chan->taken = false;
    return ESP_OK;
}

esp_err_t pcnt_channel_set_edge_action(pcnt_channel_handle_t chan, pcnt_channel_edge_action_t pos_act,
                                       pcnt_channel_edge_action_t neg_act) {
    if (!chan || !chan->taken) {
        return ESP_ERR_INVALID_ARG;
    }
    if (pos_act != PCNT_CHANNEL_EDGE_ACTION_HOLD) {
        fake_violation("in mode 1 bits are taken as SCK falls, and only then");
    }
    chan->counts_falling = neg_act == PCNT_CHANNEL_EDGE_ACTION_INCREASE;
    return ESP_OK;
}
