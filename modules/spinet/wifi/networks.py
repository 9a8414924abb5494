"""Remembered networks, stored so that no restart or power loss damages them.

The store is one file of entries. A new file is written beside the old one and renamed over it, so
that at any moment one of the two is complete. Each entry has its own check sum: a damaged entry is
dropped, and the others are kept. Passwords and credentials are stored nowhere else.
"""

import binascii
import os

from micropython import const

from spinet import fields
from spinet.wifi import config

_ENTRY_HEADER = 4  # index u8, zero u8, length of the credentials u16; record, credentials follow
_SMALLEST_BODY = _ENTRY_HEADER + config.SIZE  # without credentials
_CHECK = 4  # crc32 of all that
_MARK = b"\xffEND"  # an entry cannot begin with this
_SEAL = 8  # the mark and a crc32

REMEMBERED_NETWORKS = const(20)  # besides entry 0, the own access point

_ENOENT = const(2)
_ENOSPC = const(28)
LARGEST_CREDENTIALS = const(12288)  # of one network: certificates and keys, as PEM
_LARGEST_STORE = const(32768)  # bytes: the whole file is on the heap while it is read or written


class Store:
    """A file that is replaced as a whole or not at all. Raises OSError as the file system does.

    A file ends with a *seal*: a mark, and the check sum of everything before the mark. A file with
    a valid seal was written completely. docs/wifi.md says which files a power cut leaves.
    """

    def __init__(self, path):
        self.path = path
        self._fresh = path + ".new"  # being written; used only if `path` is missing or damaged

    def load(self, whole=False):
        """The contents, empty when nothing was saved. For a damaged file, all that can be read, or
        nothing if `whole` is true."""
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
        """Rename the new file: power was lost after the old one's removal, before the renaming."""
        try:
            os.rename(self._fresh, self.path)
        except OSError:
            pass  # the next boot reads it from there, and tries again

    def save(self, data):
        """Replace the contents."""
        try:
            with open(self._fresh, "wb") as file:
                file.write(data)
                file.write(_seal(data))
            os.rename(self._fresh, self.path)
        except OSError:
            _remove(self._fresh)  # it would take space on a full disk
            raise

    def erase(self):
        """Delete the contents; the new file first, as load() would take it for the old one."""
        for path in (self._fresh, self.path):
            try:
                os.remove(path)
            except OSError as e:
                if e.errno != _ENOENT:
                    raise


def _read(path):
    """A file's contents, at most _LARGEST_STORE bytes; empty when it cannot be read."""
    try:
        size = min(os.stat(path)[6], _LARGEST_STORE)  # read() allocates what it is asked for
        with open(path, "rb") as file:
            return file.read(size)
    except OSError:
        return b""


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass  # it is not there, or a later call tries again


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
    """One entry: the WirelessConfig record as the controller sent it, and the credentials of an
    enterprise network, joined."""

    def __init__(self, record, credentials=b""):
        self.record = bytes(record)
        self.credentials = bytes(credentials)
        self.ssid = config.ssid(self.record)

    def credential(self, index):
        """Enterprise credential `index`, 0..4; empty if it was not given."""
        at = sum([config.credential_size(self.record, i) for i in range(index)])
        return self.credentials[at : at + config.credential_size(self.record, index)]


def is_access_point(network):
    """True when name, password, ip and channel are valid for the module's own access point."""
    record = network.record
    password = config.password(record)
    return (
        config.is_own_ssid(network.ssid)
        and config.is_password(password)
        and not config.is_psk(password)  # MicroPython would truncate it to 63 digits
        and config.ip(record) not in (0, 0xFFFFFFFF)
        and config.channel(record) <= 13
    )


class Networks:
    """All entries: 0 is the own access point, 1..20 are networks to join; None if unused."""

    def __init__(self, store):
        self._store = store
        self.entries = [None] * (1 + REMEMBERED_NETWORKS)
        self.damaged = 0  # stored entries that could not be read
        self._read(store.load())

    # --- looking things up

    def access_point(self):
        """The own access point's entry, or None."""
        return self.entries[0]

    def find(self, ssid):
        """The entry with this SSID (bytes), or None."""
        index = self._index(ssid)
        return self.entries[index] if index else None

    def remembered(self):
        """The networks to join, in the order of their entries."""
        return [entry for entry in self.entries[1:] if entry]

    def _index(self, ssid):
        for i in range(1, len(self.entries)):
            if self.entries[i] and self.entries[i].ssid == ssid:
                return i
        return 0

    def has_room(self, ssid):
        """True when remember() would succeed."""
        return bool(self._index(ssid)) or None in self.entries[1:]

    # --- changing them; each is stored before it returns

    def remember(self, network):
        """Add a network, or replace the one with the same SSID; False when the table is full."""
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
        """Replace the own access point's entry; None: delete it."""
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
        if len(data) + _SEAL > _LARGEST_STORE:
            raise OSError(_ENOSPC)
        self._store.save(data)

    def erase(self):
        """Factory reset: delete all entries."""
        self.entries = [None] * len(self.entries)
        self._store.erase()

    # --- the file

    def _encoded(self):
        return b"".join([_encode(i, entry) for i, entry in enumerate(self.entries) if entry])

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
    """The offset of the next entry with a valid check sum, or the end."""
    while at < len(data) and not _is_intact(data, at):
        at += 1
    return at


def _body_end(data, at):
    """The offset of the check sum of the entry at `at`, computed from the entry's length field."""
    return at + _SMALLEST_BODY + fields.get_u16(data, at + 2)


def _is_intact(data, at):
    """True when a complete entry with a valid check sum begins at `at`."""
    if not _is_likely(data, at):
        return False
    end = _body_end(data, at)
    return end + _CHECK <= len(data) and fields.get_u32(data, end) == binascii.crc32(data[at:end])


def _is_likely(data, at):
    """True when this can be an entry, so that its check sum is computed. In a damaged file, a check
    sum at every offset would make the boot take minutes."""
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
    """The total size of the credentials, as the record gives it."""
    return sum([config.credential_size(record, i) for i in range(config.CREDENTIALS)])
