"""Remembered networks: what we know, stored so that a restart, or a power loss, harms nothing.

The store is one file of entries; it is written anew beside the old one and renamed over it, so
that at any moment either the old or the new is whole. Each entry has its own check sum: a damaged
one costs itself, not the others, and never the boot. Passwords and credentials are in here and
nowhere else.
"""

import binascii
import os

from micropython import const

from spinet import fields
from spinet.wifi import config

_ENTRY_HEADER = 4  # index u8, zero u8, length of the credentials u16; record, credentials follow
_SMALLEST_BODY = _ENTRY_HEADER + config.SIZE  # without credentials
_CHECK = 4  # crc32 of all that
_MARK = b"\xffEND"  # no entry begins with it
_SEAL = 8  # the mark and a crc32

REMEMBERED_NETWORKS = const(20)  # entry 0, our own access point, is not one of them

ENOENT = const(2)
ENOSPC = const(28)
LARGEST_CREDENTIALS = const(12288)  # of one network: certificates and keys, as PEM
LARGEST_STORE = const(32768)  # all of it is on the heap while it is read or written


class Store:
    """A file that is replaced whole or not at all. Raises OSError when the disk does.

    What is written ends in a *seal*, a mark and the check sum of everything before it: a file with
    a seal that fits was written to its end. docs/wifi.md has what a power cut leaves where.
    """

    def __init__(self, path):
        self.path = path
        self._fresh = path + ".new"  # being written; counts only when there is nothing else

    def load(self, whole=False):
        """The contents, empty when nothing was ever saved. Of a damaged file, what is left of
        it, or nothing when the caller can use it only `whole`."""
        data = _read(self.path)
        if _is_sealed(data):
            _remove(self._fresh)
            return data[:-_SEAL]
        fresh = _read(self._fresh)
        if _is_sealed(fresh):
            self._take_fresh()
            return fresh[:-_SEAL]
        _remove(self._fresh)
        return b"" if whole else data

    def _take_fresh(self):
        """The power was lost between the removal of the old file and the new one's renaming."""
        try:
            os.rename(self._fresh, self.path)
        except OSError:
            pass  # it is read from where it is, and the next boot tries again

    def save(self, data):
        """Replace the contents."""
        try:
            with open(self._fresh, "wb") as file:
                file.write(data)
                file.write(_seal(data))
            os.rename(self._fresh, self.path)
        except OSError:
            _remove(self._fresh)  # on a full disk it would be in the way
            raise

    def erase(self):
        """Forget the contents. The fresh file goes first: nothing may come back from it."""
        for path in (self._fresh, self.path):
            try:
                os.remove(path)
            except OSError as e:
                if e.errno != ENOENT:
                    raise


def _read(path):
    """What is in a file, no more than we ever write; empty when it cannot be read."""
    try:
        size = min(
            os.stat(path)[6], LARGEST_STORE
        )  # read() takes all that it is given from the heap
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it is not there, or it will be tried again


def _seal(data):
    seal = bytearray(_MARK + bytes(4))
    fields.put_u32(seal, len(_MARK), binascii.crc32(data))
    return seal


def _is_sealed(data):
    at = len(data) - _SEAL
    return (
        at >= 0
        and data[at : at + len(_MARK)] == _MARK
        and fields.get_u32(data, at + len(_MARK)) == binascii.crc32(data[:at])
    )


class Network:
    """One entry: the WirelessConfig record as the controller sent it, and what enterprise adds."""

    def __init__(self, record, credentials=b""):
        self.record = bytes(record)
        self.credentials = bytes(credentials)
        self.ssid = config.ssid(self.record)

    def credential(self, index):
        """Enterprise credential `index`, 0..4; empty where there is none."""
        at = 0
        for i in range(index):
            at += config.credential_size(self.record, i)
        return self.credentials[at : at + config.credential_size(self.record, index)]


def is_access_point(network):
    """True for an entry that we can be the access point of: its name, password, ip, channel."""
    record = network.record
    password = config.password(record)
    return (
        config.is_own_ssid(network.ssid)
        and config.is_password(password)
        and not config.is_psk(password)  # MicroPython would cut it to 63 digits
        and config.ip(record) not in (0, 0xFFFFFFFF)
        and config.channel(record) <= 13
    )


class Networks:
    """Entry 0 is our own access point, 1..20 are networks to join; a list with gaps (None)."""

    def __init__(self, store):
        self._store = store
        self.entries = [None] * (1 + REMEMBERED_NETWORKS)
        self.damaged = 0  # stored entries that could not be read
        self._read(store.load())

    # --- looking things up

    def access_point(self):
        """Our own access point's entry, or None."""
        return self.entries[0]

    def find(self, ssid):
        """The entry that remembers this name (bytes), or None."""
        index = self._index(ssid)
        return self.entries[index] if index else None

    def remembered(self):
        """The entries to join, in their order."""
        return [entry for entry in self.entries[1:] if entry]

    def _index(self, ssid):
        for i in range(1, len(self.entries)):
            if self.entries[i] and self.entries[i].ssid == ssid:
                return i
        return 0

    def has_room(self, ssid):
        """True when remember() would find a place."""
        return bool(self._index(ssid)) or None in self.entries[1:]

    # --- changing them; each is stored before it returns

    def remember(self, network):
        """Add a network, or replace the one of the same name; False when the table is full."""
        index = self._index(network.ssid)
        if not index:
            if None not in self.entries[1:]:
                return False
            index = self.entries.index(None, 1)
        return self._put(index, network)

    def forget(self, ssid):
        """Remove a network; False when it is not remembered."""
        index = self._index(ssid)
        return bool(index) and self._put(index, None)

    def set_access_point(self, network):
        """Replace our own access point's entry; None: forget it."""
        return self._put(0, network)

    def _put(self, index, network):
        before = self.entries[index]
        self.entries[index] = network
        try:
            self._save()
        except OSError:
            self.entries[index] = before
            raise
        return True

    def _save(self):
        data = self._encoded()
        if len(data) + _SEAL > LARGEST_STORE:
            raise OSError(ENOSPC)
        self._store.save(data)

    def erase(self):
        """Factory reset: forget everything."""
        for i in range(len(self.entries)):
            self.entries[i] = None
        self._store.erase()

    # --- the file

    def _encoded(self):
        parts = []
        for index, network in enumerate(self.entries):
            if network:
                parts.append(_encode(index, network))
        return b"".join(parts)

    def _read(self, data):
        at = 0
        while at < len(data):
            if _is_intact(data, at):
                at = self._take_entry(data, at)
            else:
                self.damaged += 1
                at = _next_intact(data, at + 1)

    def _take_entry(self, data, at):
        end = _body_end(data, at)
        record = at + _ENTRY_HEADER
        credentials = at + _SMALLEST_BODY
        self.entries[data[at]] = Network(data[record:credentials], data[credentials:end])
        return end + _CHECK


def _next_intact(data, at):
    """Where the next entry with a right check sum begins, or the end."""
    while at < len(data) and not _is_intact(data, at):
        at += 1
    return at


def _body_end(data, at):
    """Where the check sum of the entry at `at` would be, by the length that it claims."""
    return at + _SMALLEST_BODY + fields.get_u16(data, at + 2)


def _is_intact(data, at):
    """True when a whole entry with a right check sum begins at `at`."""
    if not _is_likely(data, at):
        return False
    end = _body_end(data, at)
    return end + _CHECK <= len(data) and fields.get_u32(data, end) == binascii.crc32(data[at:end])


def _is_likely(data, at):
    """Whether a check sum is worth its time: noise must not make the boot last minutes."""
    if at + _SMALLEST_BODY + _CHECK > len(data) or data[at] > REMEMBERED_NETWORKS:
        return False
    record = data[at + _ENTRY_HEADER : at + _SMALLEST_BODY]
    size = announced(record) if config.eap(record) else 0
    return bool(config.ssid(record)) and fields.get_u16(data, at + 2) == size


def _encode(index, network):
    head = bytearray(_ENTRY_HEADER)
    head[0] = index
    fields.put_u16(head, 2, len(network.credentials))
    body = bytes(head) + network.record + network.credentials
    check = bytearray(4)
    fields.put_u32(check, 0, binascii.crc32(body))
    return body + bytes(check)


def announced(record):
    """Bytes of credentials that are to come."""
    total = 0
    for i in range(config.CREDENTIALS):
        total += config.credential_size(record, i)
    return total
