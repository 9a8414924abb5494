"""What is remembered: the file, its damage, its replacement, the table's places."""

import os

import pytest
from fake_board import MemoryStore
from wifi_records import network, record

from spinet.duet.enterprise import Enterprise
from spinet.last_error import LastError
from spinet.wifi import config, networks
from spinet.wifi.networks import Network, Networks, Store


def names(table):
    return [entry.ssid.decode() for entry in table.remembered()]


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def table(store):
    return Networks(store)


def test_nothing_is_remembered_at_first(table):
    assert names(table) == []
    assert table.access_point() is None
    assert table.damaged == 0


def test_everything_survives_a_restart(table, store):
    table.set_access_point(network("Spinet"))
    table.remember(network("Workshop"))
    table.remember(network("Campus", b"credentials"))
    again = Networks(store)
    assert names(again) == ["Workshop", "Campus"]
    assert again.access_point().ssid == b"Spinet"
    assert again.find(b"Campus").credentials == b"credentials"
    assert config.password(again.find(b"Workshop").record) == b"secret-1"


def test_same_name_replaces(table):
    table.remember(network("Workshop"))
    table.remember(network("Attic"))
    table.remember(Network(record(b"Workshop", b"new-secret")))
    assert names(table) == ["Workshop", "Attic"]
    assert config.password(table.find(b"Workshop").record) == b"new-secret"


def test_access_point_may_have_the_name_of_a_network(table):
    table.set_access_point(network("Workshop"))
    assert table.find(b"Workshop") is None
    table.remember(network("Workshop"))
    assert names(table) == ["Workshop"]


def test_full_table_takes_known_names_only(table):
    for i in range(20):
        assert table.remember(network(f"net {i}"))
    assert not table.has_room(b"other")
    assert not table.remember(network("other"))
    assert table.has_room(b"net 3")
    assert table.remember(network("net 3"))
    assert len(names(table)) == 20


def test_gap_is_filled_first_and_survives(table, store):
    for name in "abc":
        table.remember(network(name))
    assert table.forget(b"b")
    assert names(Networks(store)) == ["a", "c"]
    again = Networks(store)
    again.remember(network("d"))
    assert names(again) == ["a", "d", "c"]


def test_forgetting_what_is_not_there(table):
    assert not table.forget(b"nobody")
    assert not table.forget(b"")


def test_disk_that_fails_leaves_the_table_as_it_was(table, store):
    table.remember(network("Workshop"))
    store.fails = True
    for change in (
        lambda: table.remember(network("Attic")),
        lambda: table.forget(b"Workshop"),
        lambda: table.set_access_point(network("Spinet")),
    ):
        with pytest.raises(OSError, match="space"):
            change()
    assert names(table) == ["Workshop"]
    assert table.access_point() is None


# --- damage


@pytest.fixture
def three(table, store):
    table.remember(network("aaa", b"cred"))
    table.remember(network("bbb"))
    table.remember(network("ccc"))
    return store.data


def test_any_damaged_byte_costs_its_own_entry_only(three):
    sizes = [124, 120, 120]
    assert sum(sizes) == len(three)
    for at in range(len(three)):
        for flip in (0x01, 0x80, 0xFF):
            data = bytearray(three)
            data[at] ^= flip
            hurt = 0 if at < 124 else 1 if at < 244 else 2
            left = [name for i, name in enumerate(("aaa", "bbb", "ccc")) if i != hurt]
            again = Networks(MemoryStore(bytes(data)))
            assert names(again) == left, at
            assert again.damaged == 1


def test_any_truncation_costs_the_last_entries_only(three):
    for n in range(len(three)):
        whole = ["aaa", "bbb", "ccc"][: 0 if n < 124 else 1 if n < 244 else 2]
        assert names(Networks(MemoryStore(three[:n]))) == whole


@pytest.mark.parametrize("noise", [b"\0" * 500, b"\xff" * 500, bytes(range(256)) * 2, b"x"])
def test_noise_is_nothing_remembered(noise):
    again = Networks(MemoryStore(noise))
    assert names(again) == []
    assert again.damaged


# --- the file


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "networks")


def test_file_that_does_not_exist_is_empty(path):
    assert Store(path).load() == b""
    Store(path).erase()


def test_file_is_replaced_whole(path):
    store = Store(path)
    store.save(b"old")
    store.save(b"new")
    assert store.load() == b"new"
    store.erase()
    assert store.load() == b""
    assert os.listdir(os.path.dirname(path)) == []


class Dies(Exception):
    """Power is lost here."""


class FailingFile:
    """A file whose writing fails after n bytes."""

    def __init__(self, file, n, error):
        self._file, self._n, self._error = file, n, error

    def __enter__(self):
        return self

    def __exit__(self, *_what):
        self._file.close()

    def write(self, data):
        self._file.write(data[: self._n])
        self._file.flush()
        raise self._error


@pytest.mark.parametrize("step", ["open", "write", "rename"])
@pytest.mark.parametrize("error", [OSError(28, "full"), Dies()])
def test_failure_at_any_step_leaves_the_old_one(path, monkeypatch, step, error):
    Store(path).save(b"the old one")

    def fail(*_args):
        raise error

    real_open = open
    if step == "rename":
        monkeypatch.setattr(networks.os, "rename", fail)
    elif step == "open":
        monkeypatch.setattr(networks, "open", fail, raising=False)
    else:
        monkeypatch.setattr(
            networks,
            "open",
            lambda p, mode: FailingFile(real_open(p, mode), 3, error),
            raising=False,
        )
    with pytest.raises((OSError, Dies)):
        Store(path).save(b"the new one")
    monkeypatch.undo()
    assert Store(path).load() == b"the old one"
    Store(path).save(b"the new one")
    assert Store(path).load() == b"the new one"


# --- enterprise


def test_credentials_are_kept_in_their_order(table):
    entry = Enterprise(table, LastError(lambda: None))
    raw = bytearray(record(b"Campus", b""))
    raw[48:68] = bytes([2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    entry._begin(raw, 3)
    assert entry._record
    entry._add_chunk(2, b"c")
    entry._add_chunk(0, b"a")
    entry._add_chunk(0, b"b")
    assert entry._commit()
    assert not entry._record
    assert table.find(b"Campus").credentials == b"abc"
