/* Counts the edges of SCK at which bits are sampled, and reports when a phase has had all its edges. */
#ifndef SCK_COUNTER_H
#define SCK_COUNTER_H

#include <stdbool.h>

#include "soc/soc_caps.h"

#ifdef SOC_PCNT_SUPPORTED
#define SCK_COUNTER_THERE 1
#else
#define SCK_COUNTER_THERE 0
#endif

/* The interrupt calls `reached`. ESP_ERR_NOT_SUPPORTED where the chip has no counter. After an error
 * sck_counter_stop() frees what was allocated. */
int sck_counter_start(int sck, void (*reached)(void));
void sck_counter_stop(void);

/* Counts from 0 again and calls reached() after this number of edges. The count goes on then. */
int sck_counter_arm(int edges);

/* Edges since it was armed. */
int sck_counter_value(void);

#endif
