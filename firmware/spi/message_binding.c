#include "message_binding.h"

#include "esp_err.h"
#include "message_buffers.h"
#include "netconn.h"
#include "platform.h"

#include "py/mperrno.h"
#include "py/runtime.h"

static mp_obj_t message_buffers(void) {
    if (message_tx() == NULL) {
        mp_raise_OSError(MP_ENODEV);
    }
    mp_obj_t pair[] = {
        mp_obj_new_bytearray_by_ref(message_size(), message_tx()),
        mp_obj_new_bytearray_by_ref(message_size(), message_rx()),
    };
    return mp_obj_new_tuple(2, pair);
}
MP_DEFINE_CONST_FUN_OBJ_0(message_buffers_obj, message_buffers);

static void check_buffer(mp_obj_t buffer, const uint8_t *expected) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(buffer, &info, MP_BUFFER_READ);
    if (info.buf != expected) {
        mp_raise_ValueError(MP_ERROR_TEXT("SPI: only its own buffers"));
    }
}

void message_check_pair(mp_obj_t tx, mp_obj_t rx) {
    check_buffer(tx, message_tx());
    check_buffer(rx, message_rx());
}

slave_wiring_t message_wiring(const mp_obj_t *args, mp_obj_t size) {
    platform_start();
    return (slave_wiring_t){
        .host = mp_obj_get_int(args[0]),
        .sck = mp_obj_get_int(args[1]),
        .mosi = mp_obj_get_int(args[2]),
        .miso = mp_obj_get_int(args[3]),
        .cs = mp_obj_get_int(args[4]),
        .size = (size_t)mp_obj_get_int(size),
        .wake = nc_wake_from_isr,
    };
}

/* The errno of an OSError, which Python's code looks at. */
static int errno_of(int error) {
    switch (error) {
        case ESP_ERR_NO_MEM:
            return MP_ENOMEM;
        case ESP_ERR_INVALID_STATE:
            return MP_EBUSY;
        case ESP_ERR_NOT_SUPPORTED:
            return MP_EOPNOTSUPP;
        default:
            return MP_EIO;
    }
}

void message_raise(int error) {
    if (error == ESP_ERR_INVALID_ARG || error == ESP_ERR_INVALID_SIZE) {
        mp_raise_ValueError(MP_ERROR_TEXT("SPI: bad pin, host, frequency, size or phase"));
    }
    if (error != ESP_OK) {
        mp_raise_OSError(errno_of(error));
    }
}
