/* What the bindings of both roles share: the message buffers as Python objects, and errors. */
#ifndef MESSAGE_BINDING_H
#define MESSAGE_BINDING_H

#include "py/obj.h"

/* (tx, rx): bytearrays over memory that is never freed; they cannot grow. Allocates. OSError before the
 * buffers are taken. */
mp_obj_t message_buffers_as_tuple(void);

/* ValueError unless these are the message buffers: DMA reaches no others. */
void message_check_pair(mp_obj_t tx, mp_obj_t rx);

/* Raises what an esp_err_t stands for: ValueError for an argument that the driver refuses, OSError for the
 * rest (EBUSY: in use or not started; EOPNOTSUPP: not with these pins or not on this chip). Nothing for
 * ESP_OK. */
void message_raise(int error);

#endif
