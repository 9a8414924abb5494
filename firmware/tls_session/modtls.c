/*
 * The `_spinet_tls` module: tls_session.h for Python.
 *
 *     Identity(certificate, key)      PEM, as bytes; raises ValueError(reason)
 *     Trust(ca)                       PEM, or None: every certificate is accepted
 *     Roots(file, seconds, identity)  the public roots; file is "" if the board has them elsewhere. seconds: the time
 *                                     since 1970, 0 if it is unknown. identity: the client's, or None
 *     check_certificate(pem), check_key(pem)              None, or the fault in words
 *     check_own(pem)                  the same, also when Trust(pem) would not accept it of a server
 *     Session(context, inbox, outbox, server_name=None)   bytearrays; raises MemoryError
 *         step()                      the handshake: 1 done, 0 not yet, or an error; releases the GIL
 *         look()                      how many decrypted bytes there are, or PEER_ENDED, or an error
 *         open(buf, offset, n)        gives decrypted bytes
 *         seal(buf, offset, n)        encrypts; returns for how many there was room
 *         finish()                    sends close_notify
 *         in_room(), in_at(), fed(n)       ciphertext from the peer: room for it, where it goes, how much came
 *         out_at(), out_count(), sent(n)   ciphertext to the peer: where it is, how much, how much was sent
 *         reason(error)               an error in words
 *         end()                       frees the memory; every other call raises ValueError afterwards
 *
 * All calls but the constructors, check_*() and reason() take and return small integers, allocate nothing on
 * Python's heap, and raise only for bytes outside a buffer or after end().
 */
#include "buffer_span.h"
#include "tls_session.h"

#include <string.h>

#include "genhdr/mpversion.h"
#include "py/mpthread.h"
#include "py/obj.h"
#include "py/runtime.h"

typedef struct {
    mp_obj_base_t base;
    tls_context_t *context; /* NULL once collected */
} context_obj_t;

typedef struct {
    mp_obj_base_t base;
    mp_obj_t inbox; /* these two keep the boxes' memory alive */
    mp_obj_t outbox;
    bool open;
    tls_session_t session;
} session_obj_t;

static const mp_obj_type_t identity_type;
static const mp_obj_type_t trust_type;
static const mp_obj_type_t roots_type;
static const mp_obj_type_t session_type;

/* ---- arguments and answers ---- */

static mp_obj_t small(mp_int_t value) {
    return MP_OBJ_NEW_SMALL_INT(value);
}

static mp_obj_t words(const tls_session_t *session, int error) {
    const char *reason = tls_reason(session, error);
    if (reason) {
        return mp_obj_new_str(reason, strlen(reason));
    }
    vstr_t text;
    vstr_init(&text, 16);
    vstr_printf(&text, "error -0x%04x", (unsigned)-error);
    return mp_obj_new_str_from_vstr(&text);
}

static mp_obj_t verdict(int error) {
    return error ? words(NULL, error) : mp_const_none;
}

/* ---- Identity, Trust and Roots ---- */

static mp_obj_t new_context(const mp_obj_type_t *type) {
    context_obj_t *self = mp_obj_malloc_with_finaliser(context_obj_t, type);
    self->context = NULL;
    return MP_OBJ_FROM_PTR(self);
}

static tls_context_t **context_of(mp_obj_t self) {
    return &((context_obj_t *)MP_OBJ_TO_PTR(self))->context;
}

static void raise_refusal(int error) {
    if (error) {
        nlr_raise(mp_obj_new_exception_arg1(&mp_type_ValueError, words(NULL, error)));
    }
}

static mp_obj_t identity_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_buffer_info_t certificate, key;
    mp_arg_check_num(n_args, n_kw, 2, 2, false);
    mp_get_buffer_raise(args[0], &certificate, MP_BUFFER_READ);
    mp_get_buffer_raise(args[1], &key, MP_BUFFER_READ);
    mp_obj_t self = new_context(type);
    raise_refusal(tls_new_identity(certificate.buf, certificate.len, key.buf, key.len, context_of(self)));
    return self;
}

static mp_obj_t trust_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_buffer_info_t ca = {0};
    mp_arg_check_num(n_args, n_kw, 1, 1, false);
    if (args[0] != mp_const_none) {
        mp_get_buffer_raise(args[0], &ca, MP_BUFFER_READ);
    }
    mp_obj_t self = new_context(type);
    raise_refusal(tls_new_trust(ca.buf, ca.len, context_of(self)));
    return self;
}

static mp_obj_t roots_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 3, 3, false);
    const char *file = mp_obj_str_get_str(args[0]);
    uint32_t seconds = mp_obj_get_int_truncated(args[1]);
    tls_context_t *identity = mp_obj_is_type(args[2], &identity_type) ? *context_of(args[2]) : NULL;
    mp_obj_t self = new_context(type);
    raise_refusal(tls_new_roots(file, seconds, MICROPY_BUILD_DATE, identity, context_of(self)));
    return self;
}

static mp_obj_t context_del(mp_obj_t self) {
    tls_context_t **context = context_of(self);
    if (*context) {
        tls_let_go(*context);
        *context = NULL;
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(context_del_obj, context_del);

static const mp_rom_map_elem_t context_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&context_del_obj) },
};
static MP_DEFINE_CONST_DICT(context_locals, context_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(identity_type, MP_QSTR_Identity, MP_TYPE_FLAG_NONE,
    make_new, identity_make_new, locals_dict, &context_locals);
static MP_DEFINE_CONST_OBJ_TYPE(trust_type, MP_QSTR_Trust, MP_TYPE_FLAG_NONE,
    make_new, trust_make_new, locals_dict, &context_locals);

static MP_DEFINE_CONST_OBJ_TYPE(roots_type, MP_QSTR_Roots, MP_TYPE_FLAG_NONE,
    make_new, roots_make_new, locals_dict, &context_locals);

/* ---- Session: its life ---- */

static tls_session_t *session_of(mp_obj_t self_in) {
    session_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (!self->open) {
        mp_raise_ValueError(MP_ERROR_TEXT("the session has ended"));
    }
    return &self->session;
}

static void set_box(tls_box_t *box, mp_obj_t memory) {
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(memory, &buffer, MP_BUFFER_RW);
    box->memory = buffer.buf;
    box->size = buffer.len;
    box->start = box->end = 0;
}

static tls_context_t *context_argument(mp_obj_t object) {
    if (!mp_obj_is_type(object, &identity_type) && !mp_obj_is_type(object, &trust_type) &&
        !mp_obj_is_type(object, &roots_type)) {
        mp_raise_TypeError(MP_ERROR_TEXT("Identity, Trust or Roots needed"));
    }
    return *context_of(object);
}

static mp_obj_t session_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 3, 4, false);
    tls_context_t *context = context_argument(args[0]);
    const char *server_name = n_args > 3 && args[3] != mp_const_none ? mp_obj_str_get_str(args[3]) : NULL;
    session_obj_t *self = mp_obj_malloc_with_finaliser(session_obj_t, type);
    self->open = false;
    self->inbox = args[1];
    self->outbox = args[2];
    set_box(&self->session.in, args[1]);
    set_box(&self->session.out, args[2]);
    if (tls_begin(&self->session, context, server_name)) {
        mp_raise_type(&mp_type_MemoryError); /* its only error */
    }
    self->open = true;
    return MP_OBJ_FROM_PTR(self);
}

static mp_obj_t session_end(mp_obj_t self_in) {
    session_obj_t *self = MP_OBJ_TO_PTR(self_in);
    if (self->open) {
        self->open = false;
        tls_end(&self->session);
    }
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_end_obj, session_end);

/* ---- Session: handshake and records ---- */

static mp_obj_t session_step(mp_obj_t self) {
    tls_session_t *session = session_of(self);
    MP_THREAD_GIL_EXIT();
    int answer = tls_step(session);
    MP_THREAD_GIL_ENTER();
    return small(answer);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_step_obj, session_step);

static mp_obj_t session_look(mp_obj_t self) {
    return small(tls_look(session_of(self)));
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_look_obj, session_look);

static mp_obj_t session_open(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    uint8_t *into = buffer_span(args[1], MP_BUFFER_WRITE, mp_obj_get_int(args[2]), n);
    return small(tls_open(session_of(args[0]), into, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(session_open_obj, 4, 4, session_open);

static mp_obj_t session_seal(size_t n_args, const mp_obj_t *args) {
    (void)n_args;
    mp_int_t n = mp_obj_get_int(args[3]);
    const uint8_t *from = buffer_span(args[1], MP_BUFFER_READ, mp_obj_get_int(args[2]), n);
    return small(tls_seal(session_of(args[0]), from, n));
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(session_seal_obj, 4, 4, session_seal);

static mp_obj_t session_finish(mp_obj_t self) {
    tls_finish(session_of(self));
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_finish_obj, session_finish);

static mp_obj_t session_reason(mp_obj_t self, mp_obj_t error) {
    return words(session_of(self), mp_obj_get_int(error));
}
static MP_DEFINE_CONST_FUN_OBJ_2(session_reason_obj, session_reason);

/* ---- Session: boxes ---- */

static mp_obj_t session_in_room(mp_obj_t self) {
    return small(tls_box_room(&session_of(self)->in));
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_in_room_obj, session_in_room);

static mp_obj_t session_in_at(mp_obj_t self) {
    return small(session_of(self)->in.end);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_in_at_obj, session_in_at);

static mp_obj_t session_fed(mp_obj_t self, mp_obj_t count) {
    tls_box_t *in = &session_of(self)->in;
    mp_int_t n = mp_obj_get_int(count);
    if (n < 0 || (size_t)n > in->size - in->end) {
        mp_raise_ValueError(MP_ERROR_TEXT("more than there was room for"));
    }
    in->end += n;
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(session_fed_obj, session_fed);

static mp_obj_t session_out_at(mp_obj_t self) {
    return small(session_of(self)->out.start);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_out_at_obj, session_out_at);

static mp_obj_t session_out_count(mp_obj_t self) {
    const tls_box_t *out = &session_of(self)->out;
    return small(out->end - out->start);
}
static MP_DEFINE_CONST_FUN_OBJ_1(session_out_count_obj, session_out_count);

static mp_obj_t session_sent(mp_obj_t self, mp_obj_t count) {
    tls_box_t *out = &session_of(self)->out;
    mp_int_t n = mp_obj_get_int(count);
    if (n < 0 || (size_t)n > out->end - out->start) {
        mp_raise_ValueError(MP_ERROR_TEXT("more than there is"));
    }
    tls_box_drop(out, n);
    return mp_const_none;
}
static MP_DEFINE_CONST_FUN_OBJ_2(session_sent_obj, session_sent);

static const mp_rom_map_elem_t session_locals_table[] = {
    { MP_ROM_QSTR(MP_QSTR_step), MP_ROM_PTR(&session_step_obj) },
    { MP_ROM_QSTR(MP_QSTR_look), MP_ROM_PTR(&session_look_obj) },
    { MP_ROM_QSTR(MP_QSTR_open), MP_ROM_PTR(&session_open_obj) },
    { MP_ROM_QSTR(MP_QSTR_seal), MP_ROM_PTR(&session_seal_obj) },
    { MP_ROM_QSTR(MP_QSTR_finish), MP_ROM_PTR(&session_finish_obj) },
    { MP_ROM_QSTR(MP_QSTR_reason), MP_ROM_PTR(&session_reason_obj) },
    { MP_ROM_QSTR(MP_QSTR_in_room), MP_ROM_PTR(&session_in_room_obj) },
    { MP_ROM_QSTR(MP_QSTR_in_at), MP_ROM_PTR(&session_in_at_obj) },
    { MP_ROM_QSTR(MP_QSTR_fed), MP_ROM_PTR(&session_fed_obj) },
    { MP_ROM_QSTR(MP_QSTR_out_at), MP_ROM_PTR(&session_out_at_obj) },
    { MP_ROM_QSTR(MP_QSTR_out_count), MP_ROM_PTR(&session_out_count_obj) },
    { MP_ROM_QSTR(MP_QSTR_sent), MP_ROM_PTR(&session_sent_obj) },
    { MP_ROM_QSTR(MP_QSTR_end), MP_ROM_PTR(&session_end_obj) },
    { MP_ROM_QSTR(MP_QSTR___del__), MP_ROM_PTR(&session_end_obj) },
};
static MP_DEFINE_CONST_DICT(session_locals, session_locals_table);

static MP_DEFINE_CONST_OBJ_TYPE(session_type, MP_QSTR_Session, MP_TYPE_FLAG_NONE,
    make_new, session_make_new, locals_dict, &session_locals);

/* ---- the module ---- */

static mp_obj_t mod_check_certificate(mp_obj_t pem) {
    mp_buffer_info_t text;
    mp_get_buffer_raise(pem, &text, MP_BUFFER_READ);
    return verdict(tls_check_certificate(text.buf, text.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_check_certificate_obj, mod_check_certificate);

static mp_obj_t mod_check_key(mp_obj_t pem) {
    mp_buffer_info_t text;
    mp_get_buffer_raise(pem, &text, MP_BUFFER_READ);
    return verdict(tls_check_key(text.buf, text.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_check_key_obj, mod_check_key);

static mp_obj_t mod_check_own(mp_obj_t pem) {
    mp_buffer_info_t text;
    mp_get_buffer_raise(pem, &text, MP_BUFFER_READ);
    return verdict(tls_check_own(text.buf, text.len));
}
static MP_DEFINE_CONST_FUN_OBJ_1(mod_check_own_obj, mod_check_own);

static const mp_rom_map_elem_t mod_globals_table[] = {
    { MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR__spinet_tls) },
    { MP_ROM_QSTR(MP_QSTR_Identity), MP_ROM_PTR(&identity_type) },
    { MP_ROM_QSTR(MP_QSTR_Trust), MP_ROM_PTR(&trust_type) },
    { MP_ROM_QSTR(MP_QSTR_Roots), MP_ROM_PTR(&roots_type) },
    { MP_ROM_QSTR(MP_QSTR_Session), MP_ROM_PTR(&session_type) },
    { MP_ROM_QSTR(MP_QSTR_check_certificate), MP_ROM_PTR(&mod_check_certificate_obj) },
    { MP_ROM_QSTR(MP_QSTR_check_key), MP_ROM_PTR(&mod_check_key_obj) },
    { MP_ROM_QSTR(MP_QSTR_check_own), MP_ROM_PTR(&mod_check_own_obj) },
    { MP_ROM_QSTR(MP_QSTR_PEER_ENDED), MP_ROM_INT(TLS_PEER_ENDED) },
};
static MP_DEFINE_CONST_DICT(mod_globals, mod_globals_table);

const mp_obj_module_t spinet_tls_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&mod_globals,
};

MP_REGISTER_MODULE(MP_QSTR__spinet_tls, spinet_tls_module);
