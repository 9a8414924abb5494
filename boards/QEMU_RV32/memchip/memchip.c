/*
 * The `memchip` module: the C parts of a chip's firmware, working in memory, for an emulated core on which
 * instructions are counted. It has pins and an SPI with a simulated controller, and the TCP stack's contract
 * (modules/spinet/tcp/stack.py) over connections with simulated peers.
 *
 * instructions() counts what a chip's processor would execute. The simulation of DMA, controller and peers is
 * left out.
 */
#include "buffer_span.h"
#include "soft_reset.h"

#include "py/gc.h"
#include "py/mphal.h"
#include "py/objarray.h"
#include "py/runtime.h"
#if __has_include("py/cstack.h")
#include "py/cstack.h" /* since MicroPython 1.26 */
#define mp_stack_usage mp_cstack_usage
#else
#include "py/stackctrl.h"
#endif

#include <string.h>

#define MESSAGE_SIZE 4096 /* at least Duet's header and data phase, and a frame of NINA's */
#define CONNECTIONS 8
#define LISTENER CONNECTIONS /* the index of the one listener */
#define RING 8192            /* of each direction */
#define ERR_WOULDBLOCK -7
#define ERR_CLSD -15

enum { ACCEPT = 1, CONNECTED = 2, DATA = 4, ROOM = 8, CLOSED = 16 };

static uint32_t left_out; /* instructions that no chip would execute */
static uint32_t copying;  /* instructions of payload copies, which a chip would */

static uint32_t now(void) {
    uint32_t count;
    __asm__ volatile ("csrr %0, minstret" : "=r" (count));
    return count;
}

static mp_obj_t small(mp_int_t value) {
    return MP_OBJ_NEW_SMALL_INT(value);
}

/* ---- counting ---- */

/* Modulo 2^30, so that nothing is allocated. */
static mp_obj_t memchip_instructions(void) {
    return small((now() - left_out) & 0x3fffffff);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_instructions_obj, memchip_instructions);

/* ---- the clock, as extmod/modtime.c has it on the chips ---- */

#define PERIOD 0x40000000

/* The machine's timer has 64 bits and counts at 10 MHz. */
static uint64_t timer(void) {
    volatile uint32_t *word = (volatile uint32_t *)0x0200bff8;
    uint32_t high;
    uint32_t low;
    do {
        high = word[1];
        low = word[0];
    } while (word[1] != high);
    return (uint64_t)high << 32 | low;
}

/* For the times of files. */
uint64_t mp_hal_time_ns(void);
uint64_t mp_hal_time_ns(void) {
    return timer() * 100;
}

static uint64_t executed(void) {
    uint32_t high;
    uint32_t low;
    uint32_t again;
    do {
        __asm__ volatile ("csrr %0, minstreth" : "=r" (high));
        __asm__ volatile ("csrr %0, minstret" : "=r" (low));
        __asm__ volatile ("csrr %0, minstreth" : "=r" (again));
    } while (again != high);
    return (uint64_t)high << 32 | low;
}

static uint32_t per_ms; /* instructions; 0: the machine's timer is the clock */

/* pace(instructions): a millisecond is so many from now on, as on a processor of that speed. */
static mp_obj_t memchip_pace(mp_obj_t instructions) {
    per_ms = (uint32_t)mp_obj_get_int(instructions);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_pace_obj, memchip_pace);

static mp_obj_t memchip_ticks_ms(void) {
    uint64_t ms = per_ms ? executed() / per_ms : timer() / 10000;
    return small(ms & (PERIOD - 1));
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_ticks_ms_obj, memchip_ticks_ms);

static mp_obj_t memchip_ticks_diff(mp_obj_t end, mp_obj_t start) {
    mp_uint_t difference = MP_OBJ_SMALL_INT_VALUE(end) - MP_OBJ_SMALL_INT_VALUE(start);
    return small((mp_int_t)((difference + PERIOD / 2) & (PERIOD - 1)) - PERIOD / 2);
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_ticks_diff_obj, memchip_ticks_diff);

static mp_obj_t memchip_ticks_add(mp_obj_t ticks, mp_obj_t delta) {
    return small((MP_OBJ_SMALL_INT_VALUE(ticks) + mp_obj_get_int(delta)) & (PERIOD - 1));
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_ticks_add_obj, memchip_ticks_add);

/* ---- the stack ---- */

#define UNTOUCHED 0xa5a5a5a5

extern uint32_t _sstack; /* the stack's last word */

/* Marks the stack below the caller's frames. Interrupts do not use it here. */
static void mark_stack(void) {
    volatile uint32_t *end = (uint32_t *)__builtin_frame_address(0) - 16;
    for (volatile uint32_t *word = &_sstack; word < end; word++) {
        *word = UNTOUCHED;
    }
}

/* How much of the stack was used since then, below `top`. */
static mp_int_t stack_used(uint8_t *top) {
    volatile uint32_t *word = &_sstack;
    while (*word == UNTOUCHED) {
        word++;
    }
    return top - (uint8_t *)word;
}

/* within(bytes, function): call function() with so much stack left, as a thread of a chip has it; how
 * much it took. What is deeper raises RuntimeError: Python before it happens, as there, C after. */
static mp_obj_t memchip_within(mp_obj_t bytes_in, mp_obj_t function) {
    mp_int_t bytes = mp_obj_get_int(bytes_in);
    uint8_t *top = __builtin_frame_address(0);
    mark_stack();
    mp_uint_t before = MP_STATE_THREAD(stack_limit);
    MP_STATE_THREAD(stack_limit) = mp_stack_usage() + bytes;
    nlr_buf_t nlr;
    if (nlr_push(&nlr) != 0) {
        MP_STATE_THREAD(stack_limit) = before;
        nlr_jump(nlr.ret_val);
    }
    mp_call_function_0(function);
    nlr_pop();
    MP_STATE_THREAD(stack_limit) = before;
    mp_int_t used = stack_used(top);
    if (used > bytes) {
        mp_raise_msg_varg(&mp_type_RuntimeError, MP_ERROR_TEXT("%d bytes of stack"), (int)used);
    }
    return small(used);
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_within_obj, memchip_within);

/* ---- the collector ---- */

/* waited(): collect; how many blocks waited at once, at most, for the collector to look through them. WAITING
 * of them may have been more: there is no place for these, so it goes through the whole heap again. */
static mp_obj_t memchip_waited(void) {
    MICROPY_GC_STACK_ENTRY_TYPE *waiting = MP_STATE_MEM(gc_block_stack);
    const MICROPY_GC_STACK_ENTRY_TYPE unused = -1;
    memset(waiting, 0xff, sizeof(MP_STATE_MEM(gc_block_stack)));
    gc_collect();
    mp_int_t n = MICROPY_ALLOC_GC_STACK_SIZE;
    while (n > 0 && waiting[n - 1] == unused) {
        n--;
    }
    return small(n);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_waited_obj, memchip_waited);

/* ---- pins ---- */

typedef struct {
    mp_obj_base_t base;
    mp_obj_t handler; /* called at rising edges of the other side */
    bool level;
} pin_obj_t;

static const mp_obj_type_t pin_type;

static mp_obj_t pin_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    pin_obj_t *self = mp_obj_malloc(pin_obj_t, type);
    self->handler = mp_const_none;
    self->level = mp_obj_is_true(args[0]);
    return MP_OBJ_FROM_PTR(self);
}

/* value([level]) */
static mp_obj_t pin_value(size_t n_args, const mp_obj_t *args) {
    pin_obj_t *self = MP_OBJ_TO_PTR(args[0]);
    if (n_args == 1) {
        return small(self->level);
    }
    self->level = mp_obj_is_true(args[1]);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(pin_value_obj, 1, 2, pin_value);

static mp_obj_t pin_irq(mp_obj_t self_in, mp_obj_t handler) {
    pin_obj_t *self = MP_OBJ_TO_PTR(self_in);
    self->handler = handler;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(pin_irq_obj, pin_irq);

/* drive(level): the other side. A rising edge calls the handler, as the chips' scheduler does. */
static mp_obj_t pin_drive(mp_obj_t self_in, mp_obj_t level_in) {
    pin_obj_t *self = MP_OBJ_TO_PTR(self_in);
    bool level = mp_obj_is_true(level_in);
    bool rises = level && !self->level;
    self->level = level;
    if (rises && self->handler != mp_const_none) {
        mp_call_function_1(self->handler, self_in);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(pin_drive_obj, pin_drive);

static const mp_rom_map_elem_t pin_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_value), MP_ROM_PTR(&pin_value_obj) },
    { MP_ROM_QSTR(MP_QSTR_irq), MP_ROM_PTR(&pin_irq_obj) },
    { MP_ROM_QSTR(MP_QSTR_drive), MP_ROM_PTR(&pin_drive_obj) },
};
static MP_DEFINE_CONST_DICT(pin_locals, pin_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(
    pin_type,
    MP_QSTR_Pin,
    MP_TYPE_FLAG_NONE,
    make_new, pin_make_new,
    locals_dict, &pin_locals
    );

/* ---- the SPI, module-clocked; the bytes pass by DMA ---- */

static uint8_t message[MESSAGE_SIZE]; /* the controller's */
static uint8_t shifted[MESSAGE_SIZE]; /* what the module sent */

/* The work of hardware beside the processor; a function of its own, so that it is not counted as a copy. */
__attribute__((noinline, optimize("no-tree-loop-distribute-patterns")))
static void dma(uint8_t *into, const uint8_t *from, mp_int_t n) {
    for (mp_int_t i = 0; i < n; i++) {
        into[i] = from[i];
    }
}

/* exchange(tx, rx, offset, n) */
static mp_obj_t memchip_exchange(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t offset = mp_obj_get_int(args[2]);
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *tx = buffer_span(args[0], MP_BUFFER_READ, offset, n);
    uint8_t *rx = buffer_span(args[1], MP_BUFFER_WRITE, offset, n);
    uint32_t start = now();
    dma(rx, message + offset, n);
    dma(shifted + offset, tx, n);
    left_out += now() - start;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(memchip_exchange_obj, 4, 4, memchip_exchange);

/* ---- the SPI, controller-clocked ---- */

static struct {
    const uint8_t *tx;
    uint8_t *rx;
    mp_int_t offset, length, passed;
} armed;

/* arm(tx, rx, offset, n) */
static mp_obj_t memchip_arm(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    armed.offset = mp_obj_get_int(args[2]);
    armed.length = mp_obj_get_int(args[3]);
    armed.tx = buffer_span(args[0], MP_BUFFER_READ, armed.offset, armed.length);
    armed.rx = buffer_span(args[1], MP_BUFFER_WRITE, armed.offset, armed.length);
    armed.passed = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(memchip_arm_obj, 4, 4, memchip_arm);

static mp_obj_t memchip_clocked(void) {
    return small(armed.passed);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_clocked_obj, memchip_clocked);

static mp_obj_t memchip_disarm(void) {
    armed.length = armed.passed = 0;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_disarm_obj, memchip_disarm);

/* The controller clocks all that is armed. */
static void clock_phase(void) {
    dma(armed.rx, message + armed.offset, armed.length);
    dma(shifted + armed.offset, armed.tx, armed.length);
    armed.passed = armed.length;
}

/* ---- the SPI, as NINA's controllers select the module ---- */

static struct {
    const uint8_t *tx;
    uint8_t *rx;
    mp_int_t length; /* of what is shifted out */
    mp_int_t came;   /* bytes of the transfer, -1 before its end */
    bool ready;      /* READY is low: a selection is answered */
    bool gpio0;
} frame;

/* arm_frame(tx, rx, n) */
static mp_obj_t memchip_arm_frame(mp_obj_t tx, mp_obj_t rx, mp_obj_t n) {
    frame.length = mp_obj_get_int(n);
    frame.tx = buffer_span(tx, MP_BUFFER_READ, 0, frame.length);
    frame.rx = buffer_span(rx, MP_BUFFER_WRITE, 0, MESSAGE_SIZE);
    frame.came = -1;
    frame.ready = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(memchip_arm_frame_obj, memchip_arm_frame);

static mp_obj_t memchip_received(void) {
    return small(frame.came);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_received_obj, memchip_received);

static mp_obj_t memchip_disarm_frame(void) {
    frame.ready = false;
    frame.came = -1;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_disarm_frame_obj, memchip_disarm_frame);

static mp_obj_t memchip_gpio0(mp_obj_t level) {
    frame.gpio0 = mp_obj_is_true(level);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_gpio0_obj, memchip_gpio0);

/* CS falls and rises around so many bytes of the controller's; what it reads is in `shifted`. */
static void select_for(const uint8_t *from, mp_int_t n) {
    if (frame.ready) {
        dma(frame.rx, from, n);
        dma(shifted, frame.tx, MIN(n, frame.length));
        frame.came = n;
        frame.ready = false;
    }
}

/* ---- the stack ---- */

typedef struct {
    uint32_t generation;
    int32_t handle; /* 0: unused */
    uint32_t events;
    uint32_t held;  /* bytes that wait to be read */
    uint32_t queue; /* bytes that were written and are not acknowledged; of a listener: connections to accept */
    bool finished;  /* the peer's FIN came */
    _Alignas(4) uint8_t in[RING];
    _Alignas(4) uint8_t out[RING];
} entry_t;

static entry_t entries[CONNECTIONS + 1];
static uint32_t pending;
static bool woken;

static void note(entry_t *entry, uint32_t events) {
    entry->events |= events;
    pending |= 1u << (entry - entries);
}

static entry_t *find(mp_obj_t handle_in) {
    mp_int_t handle = mp_obj_get_int(handle_in);
    entry_t *entry = &entries[handle & 31];
    return handle > 0 && (handle & 31) <= LISTENER && entry->handle == handle ? entry : NULL;
}

static mp_obj_t occupy(int index) {
    entry_t *entry = &entries[index];
    entry->generation++;
    entry->handle = (int32_t)(entry->generation << 5 | index);
    entry->events = entry->held = entry->queue = 0;
    entry->finished = false;
    return small(entry->handle);
}

static mp_obj_t memchip_listen(mp_obj_t ip, mp_obj_t port, mp_obj_t backlog) {
    (void)ip;
    (void)port;
    (void)backlog;
    return occupy(LISTENER);
}
static MP_DEFINE_CONST_FUN_OBJ_3(memchip_listen_obj, memchip_listen);

static mp_obj_t memchip_accept(mp_obj_t handle) {
    entry_t *listener = find(handle);
    if (listener == NULL || listener->queue == 0) {
        return small(ERR_WOULDBLOCK);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (entries[i].handle == 0) {
            listener->queue--;
            return occupy(i);
        }
    }
    return small(ERR_WOULDBLOCK);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_accept_obj, memchip_accept);

static mp_obj_t memchip_connect(mp_obj_t ip, mp_obj_t port) {
    (void)ip;
    (void)port;
    return small(ERR_CLSD); /* there are no servers */
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_connect_obj, memchip_connect);

static mp_obj_t memchip_addresses(mp_obj_t handle, mp_obj_t into) {
    static const uint8_t addresses[8] = { 80, 0, 0x50, 0xc3, 192, 168, 0, 9 };
    if (find(handle) == NULL) {
        return small(ERR_CLSD);
    }
    memcpy(buffer_span(into, MP_BUFFER_WRITE, 0, 8), addresses, 8);
    return small(0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_addresses_obj, memchip_addresses);

static mp_obj_t memchip_readable(mp_obj_t handle) {
    entry_t *entry = find(handle);
    return small(entry ? entry->held : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_readable_obj, memchip_readable);

static void copy(uint8_t *into, const uint8_t *from, size_t n) {
    uint32_t start = now();
    memcpy(into, from, n);
    copying += now() - start;
}

/* read(handle, buffer, offset, n) */
static mp_obj_t memchip_read(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *into = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    entry_t *entry = find(args[0]);
    if (entry == NULL) {
        return small(ERR_CLSD);
    }
    n = MIN((uint32_t)n, entry->held);
    if (n == 0) {
        return small(entry->finished ? ERR_CLSD : ERR_WOULDBLOCK);
    }
    copy(into, entry->in, n);
    entry->held -= n;
    return small(n);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(memchip_read_obj, 4, 4, memchip_read);

/* Of one handle: opens the window; nothing more is to do here. */
static mp_obj_t memchip_recved(mp_obj_t handle, mp_obj_t n) {
    (void)n;
    return small(find(handle) ? 0 : ERR_CLSD);
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_recved_obj, memchip_recved);

/* write(handle, buffer, offset, n, more) */
static mp_obj_t memchip_write(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *from = buffer_span(args[1], MP_BUFFER_READ, mp_obj_get_int(args[2]), n);
    entry_t *entry = find(args[0]);
    if (entry == NULL) {
        return small(ERR_CLSD);
    }
    n = MIN((uint32_t)n, RING - entry->queue);
    copy(entry->out, from, n);
    entry->queue += n;
    return small(n);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(memchip_write_obj, 5, 5, memchip_write);

static mp_obj_t memchip_in_flight(mp_obj_t handle) {
    entry_t *entry = find(handle);
    return small(entry ? entry->queue : 0);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_in_flight_obj, memchip_in_flight);

static mp_obj_t memchip_shutdown_rx(mp_obj_t handle) {
    entry_t *entry = find(handle);
    if (entry != NULL) {
        entry->held = 0;
    }
    return small(0);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_shutdown_rx_obj, memchip_shutdown_rx);

static mp_obj_t memchip_keepalive(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    (void)args;
    return small(0);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(memchip_keepalive_obj, 4, 4, memchip_keepalive);

static mp_obj_t memchip_linger(mp_obj_t handle, mp_obj_t seconds) {
    (void)seconds;
    return small(find(handle) ? 0 : ERR_CLSD);
}
static MP_DEFINE_CONST_FUN_OBJ_2(memchip_linger_obj, memchip_linger);

/* close(h) and abort(h) */
static mp_obj_t memchip_close(mp_obj_t handle) {
    entry_t *entry = find(handle);
    if (entry == NULL) {
        return small(ERR_CLSD);
    }
    entry->handle = 0;
    entry->events = 0;
    pending &= ~(1u << (entry - entries));
    return small(0);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_close_obj, memchip_close);

static mp_obj_t memchip_error(mp_obj_t handle) {
    return small(find(handle) ? 0 : ERR_CLSD);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_error_obj, memchip_error);

static mp_obj_t memchip_events(mp_obj_t handle) {
    entry_t *entry = find(handle);
    if (entry == NULL) {
        return small(0);
    }
    uint32_t events = entry->events;
    entry->events = 0;
    pending &= ~(1u << (entry - entries));
    return small(events);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_events_obj, memchip_events);

static mp_obj_t memchip_pending(void) {
    return small(pending);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_pending_obj, memchip_pending);

static mp_obj_t memchip_overlook(mp_obj_t map) {
    pending &= ~(uint32_t)mp_obj_get_int(map);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_overlook_obj, memchip_overlook);

static void next_step(void);

static mp_obj_t memchip_wait(mp_obj_t ms) {
    (void)mp_obj_get_int(ms);
    next_step();
    bool ended = woken || pending;
    woken = false;
    return small(ended);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_wait_obj, memchip_wait);

static mp_obj_t memchip_wake(void) {
    woken = true;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_wake_obj, memchip_wake);

/* ---- the other ends: one step for each wait ---- */

/* What happens before a wait ends: something in the network, and a request of the controller's. */
typedef struct {
    uint8_t header[12]; /* of the request; the data is in `message` */
    uint16_t length;    /* bytes of the transfer, for SENDS */
    uint16_t arrives;   /* bytes, for 'a' */
    uint8_t asks;       /* what the controller does: ASKS and what follows it; 0: nothing */
    uint8_t happens;    /* 'a' bytes arrive, 'r' room: all is acknowledged, 'd' dial, 'f' FIN */
    uint8_t index;      /* of which connection */
    uint8_t spare;
} step_t;

enum {
    ASKS = 1, /* it raises TRANSFER_READY, for the module to clock */
    CLOCKS,   /* it clocks the phase that is armed; a header begins with TRANSFER_READY and CS */
    LETS_GO,  /* CS rises, TRANSFER_READY falls */
    SENDS,    /* NINA's: it selects the module, and sends a command */
    READS,    /* it selects it once more, and reads the reply */
};

typedef struct {
    uint32_t passes;
    uint32_t sum; /* of instructions, as is what follows */
    uint32_t copied;
    uint32_t most;
} spent_t;

#define STEPS 64
static step_t steps[STEPS];
static spent_t spent[STEPS];
static int step_count;
static int step;        /* the one that this pass serves, -1 before the first */
static uint32_t began;  /* instructions() at its beginning */
static uint32_t copied; /* copying at its beginning */
static pin_obj_t *asking;
static pin_obj_t *selecting; /* CS, where it is the controller's */

static void account(void) {
    uint32_t sum = now() - left_out - began;
    spent_t *of = &spent[step];
    of->passes++;
    of->sum += sum;
    of->copied += copying - copied;
    of->most = MAX(of->most, sum);
}

static void happen(const step_t *what) {
    entry_t *entry = &entries[what->index];
    if (what->happens == 'a') {
        entry->held = MIN(RING, entry->held + what->arrives);
        note(entry, DATA);
    } else if (what->happens == 'r') {
        entry->queue = 0;
        note(entry, ROOM);
    } else if (what->happens == 'd') {
        entries[LISTENER].queue++;
        note(&entries[LISTENER], ACCEPT);
    } else if (what->happens == 'f') {
        entry->finished = true;
        note(entry, CLOSED);
    }
}

/* What a chip's interrupt does: it calls the pin's handler. */
static void interrupt(pin_obj_t *pin, bool level) {
    bool changes = pin->level != level;
    pin->level = level;
    if (changes && pin->handler != mp_const_none) {
        mp_call_function_1(pin->handler, MP_OBJ_FROM_PTR(pin));
    }
}

static void ask(void) {
    woken = true;
    asking->level = false;
    interrupt(asking, true);
}

static void drive_clock(bool clocks) {
    woken = true;
    if (!clocks) {
        interrupt(selecting, true);
        interrupt(asking, false);
    } else if (armed.offset == 0) {
        interrupt(asking, true);
        interrupt(selecting, false);
    }
}

/* Called by every wait. The pins' handlers are what a chip's interrupt would have called, and count.
 * A function of its own, as it is where a trace of what is executed is cut into passes. */
__attribute__((noinline)) static void next_step(void) {
    uint32_t start = now();
    if (step_count == 0) {
        return;
    }
    if (step >= 0) {
        account();
    }
    step = (step + 1) % step_count;
    const step_t *what = &steps[step];
    happen(what);
    static const uint8_t nothing[MESSAGE_SIZE];
    dma(message, what->header, what->asks == SENDS ? MIN(what->length, 12) : 8);
    if (what->asks == CLOCKS) {
        clock_phase();
    } else if (what->asks == SENDS) {
        select_for(message, what->length);
    } else if (what->asks == READS) {
        select_for(nothing, frame.length);
    }
    copied = copying;
    left_out += now() - start;
    began = now() - left_out;
    if (what->asks == ASKS) {
        ask();
    } else if (what->asks >= SENDS) {
        woken = true;
    } else if (what->asks) {
        drive_clock(what->asks == CLOCKS);
    }
}

/* play(transfer_ready, cs, steps): from now on every wait is one of these; forgets what was counted. */
static mp_obj_t memchip_play(mp_obj_t transfer_ready, mp_obj_t cs, mp_obj_t steps_in) {
    mp_buffer_info_t info;
    mp_get_buffer_raise(steps_in, &info, MP_BUFFER_READ);
    if (info.len > sizeof(steps) || info.len % sizeof(step_t)) {
        mp_raise_ValueError(MP_ERROR_TEXT("steps"));
    }
    memcpy(steps, info.buf, info.len);
    memset(spent, 0, sizeof(spent));
    step_count = (int)(info.len / sizeof(step_t));
    step = -1;
    asking = MP_OBJ_TO_PTR(transfer_ready);
    selecting = MP_OBJ_TO_PTR(cs);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_3(memchip_play_obj, memchip_play);

/* spent(step): (passes, mean of instructions, mean of them copying, most). */
static mp_obj_t memchip_spent(mp_obj_t index) {
    const spent_t *of = &spent[mp_obj_get_int(index)];
    uint32_t passes = MAX(of->passes, 1);
    mp_obj_t items[4] = {
        small(of->passes), small(of->sum / passes), small(of->copied / passes), small(of->most),
    };
    return mp_obj_new_tuple(4, items);
}
static MP_DEFINE_CONST_FUN_OBJ_1(memchip_spent_obj, memchip_spent);

/* ---- the module ---- */

/* Ends the simulated controller and peers, as Python starts again. */
static void end_all(void) {
    memset(entries, 0, sizeof(entries));
    pending = 0;
    woken = false;
    step_count = 0;
}

static stop_t soft_reset_stop = { .function = end_all };

static mp_obj_t memchip_init(void) {
    at_soft_reset(&soft_reset_stop);
    MP_STATE_VM(memchip_message) = mp_obj_new_bytearray_by_ref(sizeof(message), message);
    MP_STATE_VM(memchip_shifted) = mp_obj_new_bytearray_by_ref(sizeof(shifted), shifted);
    end_all();
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_init_obj, memchip_init);

static mp_obj_t memchip_message(void) {
    return MP_STATE_VM(memchip_message);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_message_obj, memchip_message);

static mp_obj_t memchip_shifted(void) {
    return MP_STATE_VM(memchip_shifted);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_shifted_obj, memchip_shifted);

/* buffers(): tx and rx of the link, in memory of C's, as those that DMA reaches on a chip. */
static mp_obj_t memchip_buffers(void) {
    _Alignas(4) static uint8_t buffers[2][MESSAGE_SIZE];
    mp_obj_t items[2] = {
        mp_obj_new_bytearray_by_ref(MESSAGE_SIZE, buffers[0]),
        mp_obj_new_bytearray_by_ref(MESSAGE_SIZE, buffers[1]),
    };
    return mp_obj_new_tuple(2, items);
}
static MP_DEFINE_CONST_FUN_OBJ_0(memchip_buffers_obj, memchip_buffers);

#define FUNCTION(name) { MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_PTR(&memchip_##name##_obj) }

static const mp_rom_map_elem_t memchip_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_memchip) },
    { MP_ROM_QSTR(MP_QSTR_Pin), MP_ROM_PTR(&pin_type) },
    { MP_ROM_QSTR(MP_QSTR_WAITING), MP_ROM_INT(MICROPY_ALLOC_GC_STACK_SIZE) },
    { MP_ROM_QSTR(MP_QSTR_abort), MP_ROM_PTR(&memchip_close_obj) },
    FUNCTION(init), FUNCTION(message), FUNCTION(shifted), FUNCTION(exchange),
    FUNCTION(arm), FUNCTION(clocked), FUNCTION(disarm),
    FUNCTION(arm_frame), FUNCTION(received), FUNCTION(disarm_frame), FUNCTION(gpio0),
    FUNCTION(buffers),
    FUNCTION(instructions), FUNCTION(pace), FUNCTION(within), FUNCTION(waited),
    FUNCTION(ticks_ms), FUNCTION(ticks_diff), FUNCTION(ticks_add),
    FUNCTION(listen), FUNCTION(accept), FUNCTION(connect), FUNCTION(addresses),
    FUNCTION(readable), FUNCTION(read), FUNCTION(recved), FUNCTION(write),
    FUNCTION(in_flight), FUNCTION(shutdown_rx), FUNCTION(keepalive), FUNCTION(linger),
    FUNCTION(close),
    FUNCTION(error), FUNCTION(events), FUNCTION(pending), FUNCTION(overlook),
    FUNCTION(wait), FUNCTION(wake),
    FUNCTION(play), FUNCTION(spent),
};
static MP_DEFINE_CONST_DICT(memchip_globals, memchip_globals_table);

const mp_obj_module_t memchip_user_cmodule = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&memchip_globals,
};

MP_REGISTER_MODULE(MP_QSTR_memchip, memchip_user_cmodule);
MP_REGISTER_ROOT_POINTER(mp_obj_t memchip_message);
MP_REGISTER_ROOT_POINTER(mp_obj_t memchip_shifted);
