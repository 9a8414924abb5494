/* What the two binding files of `simbus` share. */
#ifndef SIMBUS_SELECTED_BINDING_H
#define SIMBUS_SELECTED_BINDING_H

#include "py/obj.h"

extern const mp_obj_type_t selected_type;

/* Call on_lost(code), which has to raise. */
_Noreturn void simbus_lost(mp_obj_t on_lost, int code);

#endif
