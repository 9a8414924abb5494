/* Read by MicroPython's ESP32 port. */
#include "../SPINET_ESP32/mpconfigboard.h"

#undef MICROPY_HW_BOARD_NAME
#define MICROPY_HW_BOARD_NAME "Spinet NINA ESP32"
