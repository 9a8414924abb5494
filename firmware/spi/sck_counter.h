/* Counts the edges of SCK at which bits are taken, and tells when a phase has had all of its own. */
#ifndef SCK_COUNTER_H
#define SCK_COUNTER_H

#include <stdbool.h>

#include "soc/soc_caps.h"

#ifdef SOC_PCNT_SUPPORTED
#define SCK_COUNTER_THERE 1
#else
#define SCK_COUNTER_THERE 0
#endif

/* `reached` is called by the interrupt. ESP_ERR_NOT_SUPPORTED where the chip has no counter. After
 * an error sck_counter_stop() gives back what was taken. */
int sck_counter_start(int sck, void (*reached)(void));
void sck_counter_stop(void);

/* From 0 again; reached() after so many edges. It goes on counting then. */
int sck_counter_arm(int edges);

/* Edges since it was armed. */
int sck_counter_value(void);

#endif
