/* The check of an offset and a count into a Python buffer, for every C module that reads or writes one. */
#ifndef BUFFER_SPAN_H
#define BUFFER_SPAN_H

#include "py/obj.h"
#include "py/runtime.h"

/* The n bytes at an offset of a buffer object, for `access` as mp_get_buffer_raise() has it. Raises
 * ValueError when they are not all inside. Valid until Python runs again: a bytearray's memory may move. */
static inline uint8_t *buffer_span(mp_obj_t object, mp_uint_t access, mp_int_t offset, mp_int_t n) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(object, &buffer, access);
    mp_int_t size = (mp_int_t)buffer.len;
    if (offset < 0 || n < 0 || offset > size || n > size - offset) {
        mp_raise_ValueError(MP_ERROR_TEXT("offset and count outside the buffer"));
    }
    return (uint8_t *)buffer.buf + offset;
}

#endif
