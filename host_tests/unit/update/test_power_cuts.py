"""An update that is interrupted anywhere: the module boots, old or new, and says which and why."""

import random
import struct
from types import SimpleNamespace

import pytest
from flash import Flash, PowerCut
from images import NEW, Restart, image, pieces
from project import ROOT
from wifi_records import network

from spinet import VERSION_TEXT as VERSION
from spinet.fields import get_u32
from spinet.tcp.stack import ERR_WOULDBLOCK
from spinet.update import record
from spinet.update.judgment import TRIAL_MS, Judgment
from spinet.update.network import Conversation
from spinet.update.steps import Steps
from spinet.update.transfer import Transfer
from spinet.wifi import networks
from spinet.wifi.networks import Networks, Store

IMAGE = image()
SECTOR = 4096


def restart():
    raise Restart


class NorFlash:
    """A partition: bits go from 1 to 0, and back by the sector; both take several steps."""

    def __init__(self, power):
        self.power = power
        self.data = bytearray(b"\xff" * 8 * SECTOR)

    def read(self, at, into):
        into[:] = self.data[at : at + len(into)]

    def erase(self, at):
        assert at % SECTOR == 0
        for part in range(at, at + SECTOR, 512):
            self.power.step()
            self.data[part : part + 512] = b"\xff" * 512

    def write(self, at, data):
        assert 0 < len(data) <= 2048
        assert at // SECTOR == (at + len(data) - 1) // SECTOR
        for i in range(0, len(data), 8):
            part = bytes(data[i : i + 8])
            self.power.step()
            assert self.data[at + i : at + i + len(part)] == b"\xff" * len(part)
            self.data[at + i : at + i + len(part)] = part


class Module:
    """What outlives a loss of power, and what a boot makes of it."""

    def __init__(self, monkeypatch, kind="littlefs"):
        monkeypatch.syspath_prepend(ROOT / "boards/SIM")
        import partitions

        self.sim = partitions
        self.flash = Flash(kind)
        monkeypatch.setattr(networks, "open", self.flash.open, raising=False)
        monkeypatch.setattr(networks, "os", self.flash)
        Networks(Store("/networks")).remember(network("Workshop", b"secret"))
        self.remembered = self.flash.files["/networks"]
        self.nor = [NorFlash(self.flash) for _ in range(3)]
        self.boot()

    def boot(self):
        """The boot loader, then what the service does at its start."""
        self.store = Store("/update")
        self.slots = self.sim.SimPartitions(self.nor, restart)
        self.link = SimpleNamespace(count=[0], bad_headers=0)
        self.judgment = None
        self.board = SimpleNamespace(partitions=lambda: self.slots, store=lambda _name: self.store)
        if self.store.load(True)[:1] == b"B":
            self.judgment = Judgment(self.board, self.link)
        self.transfer = Transfer(self.slots, self.store)

    def send(self, data, size=None, most=1000):
        """A controller sends an image, or only so many pieces of it; what it is told."""
        wrong = self.transfer.begin(size or len(data), data[:288], False)
        for at, piece in pieces(data)[:most] if not wrong else ():
            self.transfer.take(at, memoryview(piece))
        return wrong

    def judge(self, asked=True, ms=0):
        """The passes of the loop in which the judgment is polled."""
        self.link.count[0] += asked
        for now in (0, ms, ms) if self.judgment else ():
            self.judgment.poll(now)

    def update(self, data=IMAGE):
        """All of it, as it goes when nothing comes between."""
        assert self.send(data) is None
        self.start()
        self.judge()

    def start(self):
        """What has come is chosen, and started."""
        assert self.transfer.finish() is None
        self.boot()

    def told(self):
        return record.told(self.store, self.slots.slot)

    def check(self):
        """What it says fits what runs, and nothing that it remembers has changed."""
        told = self.told()
        if self.slots.version == NEW:
            assert told in (
                f"{NEW} was kept",
                f"{NEW} is on trial until it is asked for something",
            )
        else:
            assert self.slots.version == VERSION
            assert not told or "not complete" in told or "taken back" in told, told
        assert self.flash.files["/networks"] == self.remembered
        assert Networks(Store("/networks")).find(b"Workshop").credentials == b"secret"


class Wire:
    """What TLS would carry: steps in, answers out."""

    def __init__(self):
        self.unread = self.answers = b""

    def read(self, _handle, into, at, n):
        got, self.unread = self.unread[:n], self.unread[n:]
        into[at : at + len(got)] = got
        return len(got) or ERR_WOULDBLOCK

    def write(self, _handle, data, at, n, _more):
        self.answers += bytes(data[at : at + n])
        return n


class OverNetwork(Module):
    """The same, and the image comes over the network; its controller says nothing."""

    def boot(self):
        super().boot()
        self.wire = Wire()
        service = SimpleNamespace(
            board=self.board,
            tls=self.wire,
            port=SimpleNamespace(idle=lambda: True),
            garbage=SimpleNamespace(spend=lambda _n: None),
        )
        both = Steps(self.board)
        self.talk = Conversation(service, both, 1, self.judgment)
        self.transfer = both._transfer

    def ask(self, flags, number=0, data=b""):
        """A step's answer: None, or what is wrong."""
        self.wire.unread = struct.pack("<BxHI", flags, len(data), number) + data
        while self.talk.poll() == 0:
            pass
        answer, self.wire.answers = self.wire.answers, b""
        return answer[4:].decode(errors="replace") or (f"code -{answer[0]}" if answer[0] else None)

    def send(self, data, size=None, most=1000):
        wrong = self.ask(0, size or len(data), data[:288])
        for at, piece in pieces(data)[:most] if not wrong else ():
            assert self.ask(1, at, piece) is None
        return wrong

    def start(self):
        assert self.ask(2) is None
        assert self.ask(3) is None
        with pytest.raises(Restart):
            self.talk.end()
        self.boot()

    def judge(self, asked=True, ms=0):
        if asked:
            self.ask(5)
        super().judge(False, ms)


@pytest.fixture(params=[Module, OverNetwork])
def module(monkeypatch, request):
    return request.param(monkeypatch)


def test_update_is_kept(module):
    module.update()
    assert (module.slots.slot, module.slots.version) == (1, NEW)
    assert module.told() == f"{NEW} was kept"
    module.boot()
    assert module.judgment is None
    module.update(image("9.2.0-spinet"))
    assert (module.slots.slot, module.slots.version) == (0, "9.2.0-spinet")


@pytest.mark.parametrize(
    ("kind", "of_module", "cuts"),
    [
        ("littlefs", Module, 170),
        ("fat", Module, 170),
        ("fat-late", Module, 170),
        ("littlefs", OverNetwork, 60),
        ("fat-late", OverNetwork, 60),
    ],
)
def test_power_goes_anywhere(monkeypatch, kind, of_module, cuts):
    """At 630 random steps of the whole story, and once more in the boot after that."""
    first = of_module(monkeypatch, kind)
    first.flash.power_on()
    first.update()
    steps = first.flash.steps
    dice = random.Random(kind)
    seen = set()
    for _ in range(cuts):
        module = of_module(monkeypatch, kind)
        module.flash.power_on(cut_at=dice.randrange(steps))
        with pytest.raises(PowerCut):
            module.update()
        for again in (dice.randrange(40), None):
            module.flash.power_on(cut_at=again)
            try:
                module.boot()
            except PowerCut:
                continue
            module.flash.power_on()
            module.check()
        seen.add((module.slots.version, module.told()))
        if module.judgment and module.slots.version == NEW:
            module.judge()
        runs = module.slots.version
        module.boot()
        module.check()
        assert module.slots.version == runs
        if runs == VERSION:
            module.update()
        assert module.told() == f"{NEW} was kept"
        module.check()
    assert {version for version, _ in seen} == {VERSION, NEW}
    assert any("not complete" in told for _, told in seen)
    assert any("taken back" in told for _, told in seen)


def test_power_goes_at_each_step_of_choosing_and_keeping(monkeypatch):
    """A new image that is not kept yet goes back at the next restart, wherever power was cut."""
    module = Module(monkeypatch)
    module.send(IMAGE)
    before = [bytes(nor.data) for nor in module.nor], dict(module.flash.files)

    def again(cut_at):
        for nor, data in zip(module.nor, before[0], strict=True):
            nor.data[:] = data
        module.flash.files = dict(before[1])
        module.flash.power_on()
        module.boot()
        module.send(IMAGE)
        module.flash.power_on(cut_at)
        assert module.transfer.finish() is None
        module.boot()
        module.judge()

    again(None)
    steps = module.flash.steps
    for cut_at in range(steps):
        with pytest.raises(PowerCut):
            again(cut_at)
        module.flash.power_on()
        module.boot()
        module.check()
        kept = "kept" in module.told() or get_u32(module.nor[0].data, 24) == 2
        module.boot()
        assert (module.slots.version == NEW) == kept
        module.check()


@pytest.mark.parametrize("head", [IMAGE[:288], bytes(288)], ids=["taken", "refused"])
def test_power_goes_while_another_image_comes_after_a_chosen_one(monkeypatch, head):
    """Either image has its judge when it starts."""
    module = Module(monkeypatch)
    files, flash = dict(module.flash.files), [bytes(nor.data) for nor in module.nor]

    def again(cut_at):
        for nor, data in zip(module.nor, flash, strict=True):
            nor.data[:] = data
        module.flash.files = dict(files)
        module.flash.power_on()
        module.boot()
        module.send(IMAGE)
        assert module.transfer.finish() is None
        module.flash.power_on(cut_at)
        module.transfer.begin(len(IMAGE), head, False)
        steps = module.flash.steps
        module.flash.power_on()
        module.boot()
        assert bool(module.judgment) == (module.slots.version == NEW)
        module.check()
        return steps

    for cut_at in range(again(None)):
        with pytest.raises(PowerCut):
            again(cut_at)
        module.flash.power_on()
        module.boot()
        assert module.slots.version == VERSION or module.judgment
        module.check()


@pytest.mark.parametrize("most", range(4))
def test_reset_or_a_controller_that_dies(module, most):
    """Between two pieces; what was sent is dropped by the next one, or by the reset."""
    module.send(IMAGE, most=most)
    assert module.transfer.arriving()
    assert "not complete" in module.told()
    module.boot()
    module.check()
    assert module.slots.version == VERSION
    module.send(IMAGE, most=most)
    module.update()
    module.check()
    assert module.slots.version == NEW


def test_reset_while_it_is_on_trial(module):
    module.send(IMAGE)
    module.transfer.finish()
    module.boot()
    assert "on trial" in module.told()
    module.judge(asked=False, ms=TRIAL_MS - 1)
    module.boot()
    assert module.slots.version == VERSION
    assert "taken back: power was cut or the module was reset" in module.told()
    module.boot()
    assert "taken back: power was cut or the module was reset" in module.told()
    assert module.judgment is None


def test_two_minutes_without_a_controller(module):
    module.send(IMAGE)
    module.transfer.finish()
    module.boot()
    module.link.count[0] = module.link.bad_headers = 7  # noise
    with pytest.raises(Restart):
        module.judge(asked=False, ms=TRIAL_MS)
    module.boot()
    module.check()
    assert module.slots.version == VERSION
    assert module.told() == f"{NEW} was taken back: it was asked for nothing within two minutes"


def test_kept_whatever_comes_later(module):
    module.update()
    module.judge(asked=False, ms=10 * TRIAL_MS)
    module.boot()
    assert module.slots.version == NEW


def test_record_that_was_lost_after_the_image_was_kept(module):
    """Power went between the two: it is on trial again, and stays when no controller comes."""
    module.update()
    record.save(module.store, record.CHOSEN, 1, NEW)
    module.boot()
    with pytest.raises(Restart):
        module.judge(asked=False, ms=TRIAL_MS)
    module.boot()
    assert (module.slots.version, module.told()) == (NEW, f"{NEW} was kept")
    assert module.judgment is None


WRONG = {
    "no image": (b"<html>" * 1000, None, "this is no image"),
    "boot loader": (image()[:32] + bytes(4) + image()[36:], None, "this is no application"),
    "chip": (image(chip=9), None, "the image is for another chip"),
    "firmware": (image(version="v1.28.0"), None, "the image is of another firmware"),
    "no hash": (image()[:23] + b"\0" + image()[24:], None, "the image has no hash"),
    "version": (image(VERSION), None, "this version runs already"),
    "large": (image(), 0x1C0001, "the image has 1835009 bytes, the slot 1835008"),
    "small": (image(), 300, "the image has 300 bytes, the slot 1835008"),
}


@pytest.mark.parametrize(("data", "size", "why"), WRONG.values(), ids=WRONG)
def test_wrong_image_is_refused_before_anything_is_erased(module, data, size, why):
    module.nor[2].data[:] = bytes(len(module.nor[2].data))
    assert module.send(data, size) == why
    assert not module.transfer.arriving()
    assert not any(module.nor[2].data)
    module.boot()
    assert module.told().endswith("was refused: " + why)
    assert module.slots.version == VERSION


def damaged(at):
    return IMAGE[:at] + bytes([IMAGE[at] ^ 1]) + IMAGE[at + 1 :]


@pytest.mark.parametrize("data", [damaged(1000), damaged(5000), damaged(len(IMAGE) - 1)])
def test_damaged_image_is_refused_at_its_end(module, data):
    module.send(data)
    assert module.transfer.finish() == "the image is damaged: its hash is another"
    module.boot()
    assert "was refused: the image is damaged" in module.told()
    assert module.slots.version == VERSION


def test_half_an_image_is_refused(module):
    half = IMAGE[:4096]
    module.send(half)
    assert module.transfer.finish() == "the image is damaged: its hash is another"


def test_head_that_was_another_than_the_announced(module):
    other = image(chip=9)
    module.transfer.begin(len(other), IMAGE[:288], False)
    for at, piece in pieces(other):
        module.transfer.take(at, memoryview(piece))
    assert module.transfer.finish() == "the image is for another chip"


def test_flash_that_did_not_take_it(module):
    """The hash is of what came; what lies in flash is looked at by the boot loader."""
    module.send(IMAGE)
    module.nor[2].data[4000] ^= 1
    assert module.transfer.finish() == "the boot loader would not start it"
    module.boot()
    assert module.slots.version == VERSION


def test_pieces_that_come_twice_or_not_at_all(module):
    all_of_it = pieces(IMAGE)
    module.transfer.begin(len(IMAGE), IMAGE[:288], False)
    module.transfer.take(0, memoryview(IMAGE[:100]))  # of a wrong length
    for number in (1, 0, 0, 2, 1, 1, 0, 2):
        at, piece = all_of_it[number]
        module.transfer.take(at, memoryview(piece))
    assert module.transfer.received == len(IMAGE)
    assert module.transfer.finish() is None


def test_begun_again_after_it_was_chosen(module):
    """The boot loader was told to start what is being overwritten: it starts the other."""
    module.send(IMAGE)
    module.transfer.finish()
    module.send(IMAGE, most=1)
    module.boot()
    assert module.slots.version == VERSION
    module.update()
    assert module.slots.version == NEW


def test_same_version_when_it_is_wanted(module):
    assert module.transfer.begin(len(IMAGE), image(VERSION)[:288], True) is None


def test_cancelled(module):
    module.send(IMAGE, most=1)
    module.transfer.cancel()
    module.boot()
    assert module.told() == f"{NEW} was cancelled"
