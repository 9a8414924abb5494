/*
 * The `simbus` module: the virtual bus as pins, as an SPI master and as an SPI target, as
 * spinet.duet.module_clocked and spinet.duet.controller_clocked use them; selected_binding.c has the SPI
 * target of spinet.nina.spi_target. virtual_bus.py decides when the module has power.
 *
 * Everything runs in the service thread and allocates nothing once the bus is made. What ends the
 * connection, and a fall of RESET, is told to on_lost(code), which has to raise.
 */

#include "buffer_span.h"
#include "frames.h"
#include "py/mphal.h"
#include "py/mpthread.h"
#include "py/obj.h"
#include "py/runtime.h"
#include "selected_binding.h"

#include <errno.h>
#include <time.h>

#define NO_CONNECTION (-1)
#define DUET_PINS (GPIO0) /* TRANSFER_READY, DATA_READY, CS, RESET */

typedef struct _bus_obj_t bus_obj_t;

typedef struct {
    mp_obj_base_t base;
    bus_obj_t *bus;
    int number;
    mp_obj_t handler; /* called with the pin at every edge of the controller's; or None */
} pin_obj_t;

struct _bus_obj_t {
    mp_obj_base_t base;
    mp_obj_t on_lost;
    mp_obj_t armed[2]; /* keeps the target's buffers alive */
    mp_int_t sck_hz; /* of the target: how fast a SHIFT would cross; 0: at once */
    pin_obj_t pins[DUET_PINS];
    frames_t frames;
};

/* ---- what ends the connection ---- */

void simbus_lost(mp_obj_t on_lost, int code) {
    mp_call_function_1(on_lost, MP_OBJ_NEW_SMALL_INT(code));
    mp_raise_msg(&mp_type_RuntimeError, MP_ERROR_TEXT("on_lost has to raise"));
}

static void check(bus_obj_t *self, int code) {
    if (code < 0) {
        simbus_lost(self->on_lost, code);
    }
}

/* ---- frames that came ---- */

/* The side that clocks has to wait for as long as the bytes take. */
static void wait_for_crossing(bus_obj_t *self) {
    int64_t ns = frames_crossing_ns(&self->frames, self->sck_hz);
    if (ns) {
        struct timespec left = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
        MP_THREAD_GIL_EXIT();
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
        MP_THREAD_GIL_ENTER();
    }
}

/* True when a handler was called for an edge, and says that the loop has to look. */
static bool tell(pin_obj_t *pin) {
    return pin->handler != mp_const_none
        && mp_obj_is_true(mp_call_function_1(pin->handler, MP_OBJ_FROM_PTR(pin)));
}

/* Handle the next whole frame: NO_FRAME, HANDLED, or EDGE when the loop has to look at one. */
static int handle(bus_obj_t *self) {
    wait_for_crossing(self);
    int what = frames_next(&self->frames);
    check(self, what);
    if (what == CLOCKED) {
        check(self, frames_send(&self->frames));
    }
    if (what < EDGE) {
        return what;
    }
    if (what == EDGE + RESET && !self->frames.levels[RESET]) {
        check(self, HELD_IN_RESET);
    }
    return tell(&self->pins[what - EDGE]) ? EDGE : HANDLED;
}

static void handle_to_edge(bus_obj_t *self) {
    while (handle(self) == HANDLED) {
    }
}

static void await(bus_obj_t *self) {
    MP_THREAD_GIL_EXIT();
    int error = frames_await(&self->frames);
    MP_THREAD_GIL_ENTER();
    check(self, error);
}

/* ---- Pin ---- */

/* value(): the level; value(x) drives it */
static mp_obj_t pin_value(size_t n_args, const mp_obj_t *args) {
    pin_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    frames_t *frames = &self->bus->frames;
    if (n_args > 1) {
        check(self->bus, frames_drive(frames, self->number, mp_obj_is_true(args[1])));
    }
    return MP_OBJ_NEW_SMALL_INT(frames->levels[self->number] == 1);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(pin_value_obj, 1, 2, pin_value);

/* irq(handler): call handler(pin) at every edge that the other side makes; None: no handler.
 * It returns True when the loop has to act on this edge before it sees what came after it. */
static mp_obj_t pin_irq(mp_obj_t self_in, mp_obj_t handler) {
    pin_obj_t *self = MP_OBJ_TO_PTR(self_in);
    self->handler = handler;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(pin_irq_obj, pin_irq);

static const mp_rom_map_elem_t pin_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_value), MP_ROM_PTR(&pin_value_obj) },
    { MP_ROM_QSTR(MP_QSTR_irq), MP_ROM_PTR(&pin_irq_obj) },
};
static MP_DEFINE_CONST_DICT(pin_locals, pin_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    pin_type,
    MP_QSTR_Pin,
    MP_TYPE_FLAG_NONE,
    locals_dict, &pin_locals
    );

/* ---- Bus: making one ---- */

/* Bus(role, sck_hz, on_lost) */
static mp_obj_t bus_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    bus_obj_t *self = mp_obj_malloc(bus_obj_t, type);
    self->on_lost = args[2];
    self->sck_hz = mp_obj_get_int(args[1]);
    self->armed[0] = self->armed[1] = mp_const_none;
    self->frames = (frames_t) { .fd = NO_CONNECTION, .role = mp_obj_get_int(args[0]) };
    for (int i = 0; i < DUET_PINS; i++) {
        self->pins[i] = (pin_obj_t) {
            .base = { &pin_type }, .bus = self, .number = i, .handler = mp_const_none,
        };
        self->frames.levels[i] = UNDRIVEN;
    }
    return MP_OBJ_FROM_PTR(self);
}

/* pins(): (TRANSFER_READY, DATA_READY, CS, RESET) */
static mp_obj_t bus_pins(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    mp_obj_t pins[DUET_PINS];
    for (int i = 0; i < DUET_PINS; i++) {
        pins[i] = MP_OBJ_FROM_PTR(&self->pins[i]);
    }
    return mp_obj_new_tuple(DUET_PINS, pins);
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_pins_obj, bus_pins);

/* ---- Bus: power ---- */

/* connected(fd, patience_ms, version): the controller is there; say HELLO. The descriptor that a wait
 * watches. */
static mp_obj_t bus_connected(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    bus_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    mp_buffer_info_t text;
    mp_get_buffer_raise(args[3], &text, MP_BUFFER_READ);
    frames_connected(&self->frames, mp_obj_get_int(args[1]), mp_obj_get_int(args[2]));
    frames_power_cycle(&self->frames);
    check(self, frames_hello(&self->frames, text.buf, text.len));
    return args[1];
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(bus_connected_obj, 4, 4, bus_connected);

/* disconnected(): there is no connection any more */
static mp_obj_t bus_disconnected(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    self->frames.fd = NO_CONNECTION; /* another one may get this number */
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_disconnected_obj, bus_disconnected);

/* power_cycle(): pins and transfers as a module that has just been switched on */
static mp_obj_t bus_power_cycle(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    frames_power_cycle(&self->frames);
    for (int i = 0; i < DUET_PINS; i++) {
        self->pins[i].handler = mp_const_none;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_power_cycle_obj, bus_power_cycle);

/* ---- Bus: a source of the stack's wait() ---- */

/* before_wait(): send what was held; end a connection whose frame was not finished in time;
 * True while a whole frame is here that was not handled */
static mp_obj_t bus_before_wait(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    check(self, frames_send(&self->frames));
    check(self, frames_overdue(&self->frames));
    return mp_obj_new_bool(frames_waiting(&self->frames));
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_before_wait_obj, bus_before_wait);

/* on_ready(): take what came, and handle it up to the first edge that the loop has to look at */
static mp_obj_t bus_on_ready(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (!frames_waiting(&self->frames)) {
        check(self, frames_receive(&self->frames));
    }
    handle_to_edge(self);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_on_ready_obj, bus_on_ready);

/* settle(): handle all that has been received */
static mp_obj_t bus_settle(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    while (handle(self) != NO_FRAME) {
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_settle_obj, bus_settle);

/* ---- Bus: transfers ---- */

/* The arguments self, tx, rx, offset, n of a transfer. */
static transfer_t transfer_of(const mp_obj_t *args) {
    mp_int_t offset = mp_obj_get_int(args[3]);
    mp_int_t n = mp_obj_get_int(args[4]);
    if (n < 1 || n > LONGEST_SHIFT) {
        mp_raise_ValueError(MP_ERROR_TEXT("a transfer has 1 to 4096 bytes"));
    }
    return (transfer_t) {
        .tx = buffer_span(args[1], MP_BUFFER_READ, offset, n),
        .rx = buffer_span(args[2], MP_BUFFER_WRITE, offset, n),
        .length = (size_t)n,
        .room = (size_t)n,
    };
}

static mp_obj_t exchange(const mp_obj_t *args, bool last) {
    bus_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    check(self, frames_clock(&self->frames, transfer_of(args), last));
    while (self->frames.transfer.length) {
        if (handle(self) == NO_FRAME) {
            await(self);
        }
    }
    if (last) {
        handle_to_edge(self); /* mostly the next request, which has come with the SHIFT */
    }
    return mp_const_none;
}

/* exchange(tx, rx, offset, n): clock n bytes out of tx[offset:] and into rx[offset:] */
static mp_obj_t bus_exchange(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    return exchange(args, false);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(bus_exchange_obj, 5, 5, bus_exchange);

/* exchange_last(tx, rx, offset, n): as exchange(), and CS rises as the last byte has passed */
static mp_obj_t bus_exchange_last(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    return exchange(args, true);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(bus_exchange_last_obj, 5, 5, bus_exchange_last);

/* arm(tx, rx, offset, n): the next n bytes that are clocked come from tx[offset:], go to rx[offset:] */
static mp_obj_t bus_arm(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    bus_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    frames_arm(&self->frames, transfer_of(args));
    self->armed[0] = args[1];
    self->armed[1] = args[2];
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(bus_arm_obj, 5, 5, bus_arm);

/* clocked(): how many bytes of the armed transfer have passed */
static mp_obj_t bus_clocked(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    return MP_OBJ_NEW_SMALL_INT(self->frames.transfer.passed);
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_clocked_obj, bus_clocked);

/* disarm(): nothing is armed, and clocks get zeros */
static mp_obj_t bus_disarm(mp_obj_t self_in) {
    bus_obj_t *self = MP_OBJ_TO_PTR(self_in);
    frames_arm(&self->frames, (transfer_t) { .length = 0 });
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(bus_disarm_obj, bus_disarm);

static const mp_rom_map_elem_t bus_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_pins), MP_ROM_PTR(&bus_pins_obj) },
    { MP_ROM_QSTR(MP_QSTR_connected), MP_ROM_PTR(&bus_connected_obj) },
    { MP_ROM_QSTR(MP_QSTR_disconnected), MP_ROM_PTR(&bus_disconnected_obj) },
    { MP_ROM_QSTR(MP_QSTR_power_cycle), MP_ROM_PTR(&bus_power_cycle_obj) },
    { MP_ROM_QSTR(MP_QSTR_before_wait), MP_ROM_PTR(&bus_before_wait_obj) },
    { MP_ROM_QSTR(MP_QSTR_on_ready), MP_ROM_PTR(&bus_on_ready_obj) },
    { MP_ROM_QSTR(MP_QSTR_settle), MP_ROM_PTR(&bus_settle_obj) },
    { MP_ROM_QSTR(MP_QSTR_exchange), MP_ROM_PTR(&bus_exchange_obj) },
    { MP_ROM_QSTR(MP_QSTR_exchange_last), MP_ROM_PTR(&bus_exchange_last_obj) },
    { MP_ROM_QSTR(MP_QSTR_arm), MP_ROM_PTR(&bus_arm_obj) },
    { MP_ROM_QSTR(MP_QSTR_clocked), MP_ROM_PTR(&bus_clocked_obj) },
    { MP_ROM_QSTR(MP_QSTR_disarm), MP_ROM_PTR(&bus_disarm_obj) },
};
static MP_DEFINE_CONST_DICT(bus_locals, bus_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    bus_type,
    MP_QSTR_Bus,
    MP_TYPE_FLAG_NONE,
    make_new, bus_make_new,
    locals_dict, &bus_locals
    );

/* ---- the module ---- */

static const mp_rom_map_elem_t simbus_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_simbus) },
    { MP_ROM_QSTR(MP_QSTR_Bus), MP_ROM_PTR(&bus_type) },
    { MP_ROM_QSTR(MP_QSTR_Selected), MP_ROM_PTR(&selected_type) },
    { MP_ROM_QSTR(MP_QSTR_POWER_OFF), MP_ROM_INT(POWER_OFF) },
    { MP_ROM_QSTR(MP_QSTR_NOT_TAKEN), MP_ROM_INT(NOT_TAKEN) },
    { MP_ROM_QSTR(MP_QSTR_NOT_CLOCKED), MP_ROM_INT(NOT_CLOCKED) },
    { MP_ROM_QSTR(MP_QSTR_TOO_LONG), MP_ROM_INT(TOO_LONG) },
    { MP_ROM_QSTR(MP_QSTR_BAD_PIN), MP_ROM_INT(BAD_PIN) },
    { MP_ROM_QSTR(MP_QSTR_FOREIGN_PIN), MP_ROM_INT(FOREIGN_PIN) },
    { MP_ROM_QSTR(MP_QSTR_UNASKED_SHIFT), MP_ROM_INT(UNASKED_SHIFT) },
    { MP_ROM_QSTR(MP_QSTR_SHIFT_LENGTH), MP_ROM_INT(SHIFT_LENGTH) },
    { MP_ROM_QSTR(MP_QSTR_BAD_CLOCK), MP_ROM_INT(BAD_CLOCK) },
    { MP_ROM_QSTR(MP_QSTR_FOREIGN_HELLO), MP_ROM_INT(FOREIGN_HELLO) },
    { MP_ROM_QSTR(MP_QSTR_UNKNOWN_KIND), MP_ROM_INT(UNKNOWN_KIND) },
    { MP_ROM_QSTR(MP_QSTR_UNFINISHED), MP_ROM_INT(UNFINISHED) },
    { MP_ROM_QSTR(MP_QSTR_HELD_IN_RESET), MP_ROM_INT(HELD_IN_RESET) },
};
static MP_DEFINE_CONST_DICT(simbus_globals, simbus_globals_table);

const mp_obj_module_t simbus_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&simbus_globals,
};
MP_REGISTER_MODULE(MP_QSTR_simbus, simbus_module);
