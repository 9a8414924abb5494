"""The power goes at any byte and any step of any change: the store reads back as old or new."""

import contextlib

import pytest
from flash import KINDS, Flash, PowerCut
from wifi_records import network

from spinet.tls import credentials
from spinet.tls.credentials import TlsKeys
from spinet.wifi import networks as module
from spinet.wifi.networks import _LARGEST_STORE, Networks, Store

PATH = "/networks"


@pytest.fixture(params=KINDS)
def flash(request, monkeypatch):
    """The firmware's file system is this one."""
    flash = Flash(request.param)
    monkeypatch.setattr(module, "open", flash.open, raising=False)
    monkeypatch.setattr(module, "os", flash)
    return flash


def boot():
    return Networks(Store(PATH))


def contents(table):
    """Everything that is remembered, with passwords and credentials."""
    return [entry and (entry.record, entry.credentials) for entry in table.entries]


def prepare():
    table = boot()
    table.set_access_point(network("Spinet"))
    table.remember(network("Workshop"))
    table.remember(network("Campus", b"credentials"))


CHANGES = {
    "add": lambda table: table.remember(network("Attic")),
    "replace": lambda table: table.remember(network("Workshop", b"longer than before")),
    "forget": lambda table: table.forget(b"Campus"),
    "access point": lambda table: table.set_access_point(network("Other")),
    "no access point": lambda table: table.set_access_point(None),
    "factory reset": lambda table: table.erase(),
}


class Cuts:
    """One change of a prepared store, cut wherever a test says."""

    def __init__(self, flash, change, prepared=True):
        self.flash = flash
        self.change = change
        if prepared:
            prepare()
        self.before = dict(flash.files)
        table = boot()
        self.old = contents(table)
        flash.power_on()
        change(table)
        self.steps = flash.steps
        self.new = contents(boot())
        assert self.old != self.new

    def cut(self, at):
        """The change is cut before its step `at`; what the next boot finds."""
        flash = self.flash
        flash.files = dict(self.before)
        flash.power_on()
        table = boot()
        flash.power_on(cut_at=at)
        with pytest.raises(PowerCut):
            self.change(table)

    def booted(self):
        self.flash.power_on()
        table = boot()
        assert table.damaged == 0
        return table

    def check(self, table, at):
        assert contents(table) in (self.old, self.new), f"step {at}"


@pytest.fixture(params=list(CHANGES))
def cuts(flash, request):
    return Cuts(flash, CHANGES[request.param])


def test_cut_anywhere_is_old_or_new(cuts):
    seen = []
    for at in range(cuts.steps):
        cuts.cut(at)
        table = cuts.booted()
        cuts.check(table, at)
        assert set(cuts.flash.files) <= {PATH}
        seen.append(contents(table) == cuts.new)
    assert seen == sorted(seen)  # new once and for all, from some step on
    assert not seen[0]


def some_and_the_last(steps):
    """Where the data is written every byte is like the next; at the end each step is another."""
    return [*range(0, steps - 6, 11), *range(max(0, steps - 6), steps)]


def test_next_change_after_a_cut_works(cuts):
    for at in some_and_the_last(cuts.steps):
        cuts.cut(at)
        cuts.booted().remember(network("Later"))
        assert boot().find(b"Later")


def test_boot_that_is_cut_too(cuts):
    for at in some_and_the_last(cuts.steps):
        for boot_at in range(3):
            cuts.cut(at)
            cuts.flash.power_on(cut_at=boot_at)
            try:
                boot()
            except PowerCut:
                cuts.check(cuts.booted(), (at, boot_at))


def test_first_entry_ever(flash):
    cuts = Cuts(flash, CHANGES["add"], prepared=False)
    for at in range(cuts.steps):
        cuts.cut(at)
        cuts.check(cuts.booted(), at)


def test_factory_reset_leaves_nothing_to_come_back(flash):
    prepare()
    old = contents(boot())
    before = dict(flash.files)
    boot().remember(network("Attic"))
    before[PATH + ".new"] = flash.files[PATH]  # written whole, and never renamed
    for at in range(3):
        flash.files = dict(before)
        flash.power_on()
        table = Networks(Store(PATH))
        flash.files = dict(before)  # that boot could not remove it
        flash.power_on(cut_at=at)
        with contextlib.suppress(PowerCut):
            table.erase()
        done = flash.steps
        flash.power_on()
        assert contents(boot()) == (old if at < 2 else [None] * 21)
    assert flash.files == {}
    assert done == 2  # two files to remove: nothing that could last 15 s


@pytest.mark.parametrize("room", [0, 1, 100, 400])
def test_disk_that_is_full_keeps_the_old_and_no_leftovers(flash, room):
    prepare()
    before = dict(flash.files)
    flash.full_at = room
    with pytest.raises(OSError, match="space"):
        boot().remember(network("Attic"))
    assert flash.files == before


def test_leftover_that_was_cut_never_counts(flash):
    prepare()
    whole = flash.files.pop(PATH)
    for n in range(len(whole)):
        flash.files = {PATH + ".new": whole[:n]}
        assert contents(boot()) == [None] * 21
        assert flash.files == {}
    flash.files = {PATH + ".new": whole}
    assert boot().find(b"Workshop")
    assert flash.files == {PATH: whole}


def test_table_that_would_not_fit_into_memory_is_refused(flash):
    table = boot()
    big = b"c" * 12000
    table.remember(network("one", big))
    table.remember(network("two", big))
    flash.power_on()
    with pytest.raises(OSError, match="28"):
        table.remember(network("three", big))
    assert [entry.ssid for entry in table.remembered()] == [b"one", b"two"]
    assert [entry.ssid for entry in boot().remembered()] == [b"one", b"two"]


def test_file_from_before_there_were_seals_is_read(flash):
    prepare()
    flash.files[PATH] = flash.files[PATH][:-8]
    assert len(boot().remembered()) == 2


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\x01", b"\x02\0\xff\xff"])
def test_file_of_noise_does_not_hold_up_the_boot(flash, filling, monkeypatch):
    sums = []
    crc32 = module.binascii.crc32
    monkeypatch.setattr(
        module.binascii, "crc32", lambda data: (sums.append(len(data)), crc32(data))[1]
    )
    flash.files[PATH] = filling * (1 << 18)
    table = boot()
    assert table.remembered() == []
    assert table.damaged == 1
    assert sum(sums) <= _LARGEST_STORE


# --- certificate and key


class Sessions:
    """What TlsKeys uses of the C module; a key and its certificate end in the same letter."""

    @staticmethod
    def check_certificate(pem):
        return None if pem.startswith(b"certificate") else "error"

    @staticmethod
    def check_key(pem):
        return None if pem.startswith(b"key") else "error"

    class Identity:
        problem = None

        def __init__(self, certificate, key):
            if self.problem:
                raise self.problem
            if certificate[-1] != key[-1]:
                raise ValueError("it does not belong to the certificate")
            self.pair = certificate, key

    class Trust:
        def __init__(self, pem):
            if pem and not pem.startswith(b"CA"):
                raise ValueError("error")


class Stack:
    identity = None

    def show(self, identity):
        self.identity = identity


@pytest.fixture
def boot_keys(flash, monkeypatch):
    """boot_keys() -> what a module knows of certificate and key as it starts."""
    monkeypatch.setattr(credentials.compat, "tls_session", Sessions)
    return lambda: TlsKeys(Stack(), Store("/tls"))


def pair(keys):
    return keys._certificate, keys._key


STEPS = (
    *(("set_certificate", b"certificate A"), ("set_key", b"key A")),
    ("set_certificate", b"certificate of the same key A"),
    *(("set_certificate", b"certificate B"), ("set_key", b"key B")),
    ("clear",),
    *(("set_key", b"key B"), ("set_certificate", b"certificate B")),
    ("set_certificate", b"certificate A"),
    ("clear",),
)


def test_cut_anywhere_leaves_no_certificate_with_the_key_of_another(flash, boot_keys):
    for step, *given in STEPS:
        keys = boot_keys()
        before, old = dict(flash.files), pair(keys)
        flash.power_on()
        assert getattr(keys, step)(*given) is None
        steps, new, after = flash.steps, pair(keys), dict(flash.files)
        assert pair(boot_keys()) == new
        seen = []
        for at in range(steps):
            flash.files = dict(before)
            flash.power_on()
            keys = boot_keys()
            flash.power_on(cut_at=at)
            with pytest.raises(PowerCut):
                getattr(keys, step)(*given)
            flash.power_on()
            keys = boot_keys()
            seen.append(pair(keys))
            assert (keys.enable() is None) == all(
                seen[-1]
            )  # it is there whole, and belongs together
        assert set(seen) <= {old, new}, step
        flash.files = after


def test_what_was_given_last_is_enabled_after_a_boot(boot_keys):
    for step, *given in STEPS[:5]:
        getattr(boot_keys(), step)(*given)
    keys = boot_keys()
    assert not keys.enabled()
    assert keys.enable() is None
    assert keys._tls.identity.pair == (b"certificate B", b"key B")


def test_what_is_known_already_is_not_written_again(flash, boot_keys):
    for step, *given in STEPS[:2]:
        getattr(boot_keys(), step)(*given)
    flash.power_on()
    for step, *given in STEPS[:2] * 2:
        assert getattr(boot_keys(), step)(*given) is None
    assert flash.steps == 0


@pytest.mark.parametrize("step", STEPS[3:6])
def test_disk_that_fails_changes_nothing_of_the_pair(flash, boot_keys, step):
    for name, *given in STEPS[:2]:
        getattr(boot_keys(), name)(*given)
    keys = boot_keys()
    old = pair(keys)
    flash.full_at = 3
    if step[0] == "set_key":
        assert keys.set_key(*step[1:]) == credentials._STRANGERS
    elif step[0] == "set_certificate":
        with pytest.raises(OSError, match="space"):
            keys.set_certificate(*step[1:])
    assert pair(keys) == pair(boot_keys()) == old


def test_want_of_memory_changes_nothing_of_the_pair(boot_keys, monkeypatch):
    for name, *given in STEPS[:2]:
        getattr(boot_keys(), name)(*given)
    keys = boot_keys()
    old = pair(keys)
    monkeypatch.setattr(Sessions.Identity, "problem", ValueError("out of memory"))
    assert keys.set_certificate(b"certificate of the same key A") == "TLS key: out of memory"
    assert keys.set_key(b"key of the same certificate A") == "TLS key: out of memory"
    assert keys.enable() == "TLS key: out of memory"
    assert pair(keys) == pair(boot_keys()) == old


def test_damaged_file_has_no_certificate_and_no_key(flash, boot_keys):
    for name, *given in STEPS[:2]:
        getattr(boot_keys(), name)(*given)
    whole = flash.files["/tls"]
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            flash.files = {"/tls": damaged}
            assert pair(boot_keys()) == (b"", b"")


def test_ca_that_is_wrong_leaves_none(boot_keys):
    keys = boot_keys()
    assert keys.set_ca(b"CA") is None
    assert keys.has_ca()
    assert keys.set_ca(b"no CA") == "TLS CA: error"
    assert not keys.has_ca()
    assert keys.trust(True) is None
