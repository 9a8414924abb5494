/* Used by both bindings of this folder: results as the contracts have them, and addresses. */
#ifndef MODLWIP_H
#define MODLWIP_H

#include "lwip/err.h"
#include "py/obj.h"

extern const mp_obj_module_t spinet_lwip_datagrams; /* moddatagrams.c */

static inline mp_obj_t small(int value) {
    return MP_OBJ_NEW_SMALL_INT(value);
}

/* The contract has no ERR_ARG. For an invalid handle a call returns ERR_CLSD, and a count is 0. */
static inline mp_obj_t result(int value) {
    return small(value == ERR_ARG ? ERR_CLSD : value);
}

static inline mp_obj_t count(int value) {
    return small(value < 0 ? 0 : value);
}

/* The integer that four octets are in memory; it may be negative. */
static inline uint32_t get_ip(mp_obj_t address) {
    return (uint32_t)mp_obj_get_int_truncated(address);
}

#endif
