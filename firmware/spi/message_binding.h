/* Common to the bindings: the message buffers as Python objects, the targets' wiring, and errors. */
#ifndef MESSAGE_BINDING_H
#define MESSAGE_BINDING_H

#include "slave_transfer.h"

#include "py/obj.h"

/* buffers(): (tx, rx), bytearrays over memory that is never freed; they cannot grow. Allocates. OSError before
 * the buffers are taken. */
MP_DECLARE_CONST_FUN_OBJ_0(message_buffers_obj);

/* ValueError unless these are the message buffers: DMA reaches no others. */
void message_check_pair(mp_obj_t tx, mp_obj_t rx);

/* A target's wiring from spi, sck, mosi, miso, cs; the end of a transfer ends the TCP stack's wait. This
 * makes the wake-up too, because a transfer may end before the stack starts. */
slave_wiring_t message_wiring(const mp_obj_t *args, mp_obj_t size);

/* Raises what an esp_err_t stands for: ValueError for an argument that the driver refuses, OSError for the
 * rest (EBUSY: in use or not started; EOPNOTSUPP: not with these pins or not on this chip). Nothing for
 * ESP_OK. */
void message_raise(int error);

#endif
