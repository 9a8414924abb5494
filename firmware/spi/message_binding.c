#include "message_binding.h"

#include "esp_err.h"
#include "message_buffers.h"

#include "py/mperrno.h"
#include "py/runtime.h"

mp_obj_t message_buffers_as_tuple(void) {
    if (message_tx() == NULL) {
        mp_raise_OSError(MP_ENODEV);
    }
    mp_obj_t pair[] = {
        mp_obj_new_bytearray_by_ref(message_size(), message_tx()),
        mp_obj_new_bytearray_by_ref(message_size(), message_rx()),
    };
    return mp_obj_new_tuple(2, pair);
}

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
