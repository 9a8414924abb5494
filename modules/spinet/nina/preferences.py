"""Preferences: values that the driver's program has the module keep over restarts.

A program begins with a name, and has a space of keys of its own. All spaces are one file of the
board's store, which is written anew at each change: no loss of power damages it.
"""

from micropython import const

from spinet.fields import get_u16, put_u16
from spinet.nina.frames import DATA_AT

MOST = const(4000)  # bytes of the file: it is on the heap while a program has begun
_HEAD = const(5)  # of an entry: length of name, of key, type u8; length of value u16. They follow
_LONGEST = const(15)  # bytes of a name or a key
_UNIT = const(32)  # bytes; 5A counts the free space in these
_PARTITION = b"nvs"  # of nina-fw's flash, if the program names one

# Types
_SIZES = bytes((1, 1, 2, 2, 4, 4, 8, 8))  # of the integers, which come first
_STRING = const(8)
_BLOB = const(9)
_NO_TYPE = const(10)

# Answers
_OK = const(0)
_FAILED = const(1)
_ENDED = const(1)
_BAD_TYPE = const(254)


class Preferences:
    """Serves these commands over a Store."""

    def __init__(self, store):
        self._store = store
        self._name = b""  # of the space; empty: no program has begun
        self._writable = False
        self._data = b""  # the file's contents

    def begin(self, request):
        """As in nina-fw, read-only fails for an empty space."""
        self._end()
        name = request.octets(0)
        known = request.params < 3 or request.octets(2) == _PARTITION
        if known and 0 < len(name) <= _LONGEST:
            self._name = name
            self._data = self._store.load(True)
            self._writable = request.params < 2 or not request.u(1)
            if not self._writable and self._find(b"", True) < 0:
                self._end()
        request.answer_u8(_OK if self._name else _FAILED)

    def end(self, request):
        self._end()
        request.answer_u8(_ENDED)

    def _end(self):
        self._name = self._data = b""
        self._writable = False

    # --- changes; each is stored before it is answered

    def clear(self, request):
        data, kept = self._data, []
        at = 0
        while at < len(data):
            if not self._is_at(at, b"", True):
                kept.append(data[at : _end_of(data, at)])
            at = _end_of(data, at)
        request.answer_u8(_OK if self._save(b"".join(kept)) else _FAILED)

    def remove(self, request):
        at = self._find(request.octets(0))
        done = at >= 0 and self._save(self._without(at))
        request.answer_u8(_OK if done else _FAILED)

    def put(self, request):
        kind, value = request.u(1), request.octets(2)
        if kind >= _NO_TYPE:
            request.answer_u8(_BAD_TYPE)
            return
        if kind == _STRING:
            value = value.split(b"\0")[0]  # drivers send its end
        stored = kind >= _STRING or len(value) == _SIZES[kind]
        _answer_u32(request, len(value) if stored and self._put(request, kind, value) else 0)

    def _put(self, request, kind, value):
        """True when it is stored."""
        key = request.octets(0)
        if not 0 < len(key) <= _LONGEST:
            return False
        head = bytearray((len(self._name), len(key), kind, 0, 0))
        put_u16(head, _HEAD - 2, len(value))
        entry = bytes(head) + self._name + key + value
        return self._save(self._without(self._find(key)) + entry)

    def _without(self, at):
        """The file without the entry at this offset; all of it where `at` is negative."""
        return self._data if at < 0 else self._data[:at] + self._data[_end_of(self._data, at) :]

    def _save(self, data):
        if not self._writable or len(data) > MOST:
            return False
        try:
            self._store.save(data)
        except OSError:
            return False
        self._data = data
        return True

    # --- questions

    def length(self, request):
        _answer_u32(request, len(self._value(self._find(request.octets(0)))))

    def free(self, request):
        _answer_u32(request, (MOST - len(self._data)) // _UNIT if self._name else 0)

    def get(self, request):
        """An integer has its highest byte first here. A type that it does not have gets nothing."""
        at = self._find(request.octets(0))
        kind = request.u(1)
        value = self._value(at) if at >= 0 and self._data[at + 2] == kind else b""
        if kind < _STRING:
            value = bytes(reversed(value))
        request.tx[DATA_AT : DATA_AT + len(value)] = value
        request.answer_data(len(value))

    def type(self, request):
        at = self._find(request.octets(0))
        request.answer_u8(self._data[at + 2] if at >= 0 else _NO_TYPE)

    # --- entries

    def _find(self, key, any_key=False):
        """The offset of the entry with this key in the program's space; -1: there is none."""
        at = 0
        while at < len(self._data):
            if self._is_at(at, key, any_key):
                return at
            at = _end_of(self._data, at)
        return -1

    def _is_at(self, at, key, any_key):
        """True when the entry there is of the program's space, and has this key."""
        data, names = self._data, at + _HEAD
        keys = names + data[at]
        if data[names:keys] != self._name:
            return False
        return any_key or data[keys : keys + data[at + 1]] == key

    def _value(self, at):
        """The value of the entry there; empty where `at` is negative."""
        if at < 0:
            return b""
        end = _end_of(self._data, at)
        return self._data[end - get_u16(self._data, at + _HEAD - 2) : end]


def _end_of(data, at):
    """The offset behind the entry that begins there."""
    return at + _HEAD + data[at] + data[at + 1] + get_u16(data, at + _HEAD - 2)


def _answer_u32(request, number):
    request.begin_reply(1)
    request.put(number, 4)
