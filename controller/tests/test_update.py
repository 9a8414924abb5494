"""Images and updates, against the fake module: what is looked at, sent, and can go wrong."""

import asyncio

import pytest
from fake_module import DATA_READY, WHOLE, image

from spinet_controller import UpdateState, UpdateStatus, link, update
from spinet_controller.codes import Command
from spinet_controller.errors import BadImage, ModuleLost, Refused, UpdateFailed
from spinet_controller.update import Image

STATUS = UpdateStatus(UpdateState.IDLE, 0, 5, 0, 0, 1 << 16, "2.3.0-spinet", "")


@pytest.mark.parametrize("before", [b"", b"\xe9" * 0xF000, b"\xff" * 0x10000])
def test_an_application_alone_or_in_a_flash(before):
    found = Image.of(before + WHOLE)
    assert (found.data, found.chip, found.version) == (WHOLE, 5, "2.4.0-spinet")
    found.check(STATUS)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no image"),
        (b"<html>" * 20000, "no image"),
        (b"\xe9" * 0x8000, "no image"),  # a boot loader
        (WHOLE[:100], "cut short"),
        (WHOLE[:280], "cut short"),
        (WHOLE[:5000], "cut short"),
        (WHOLE[:-1], "cut short"),
        (WHOLE + b"\xff", "goes on"),
        (WHOLE[:6000] + b"?" + WHOLE[6001:], "damaged"),
        (WHOLE[:23] + b"\0" + WHOLE[24:], "no hash"),
    ],
)
def test_what_is_no_image(file, why):
    with pytest.raises(BadImage, match=why):
        Image.of(file)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (image(chip=9), "the image is for ESP32-S3, the module ESP32-C3"),
        (image(chip=99), "the image is for chip 99, the module ESP32-C3"),
        (image(b"v1.28.0"), "another firmware: its version is 'v1.28.0'"),
        (image(size=1 << 16), "the slot 65536"),
        (image(b"2.3.0-spinet"), "version 2.3.0-spinet runs already"),
    ],
)
def test_an_image_that_the_module_cannot_take(made, why):
    with pytest.raises(BadImage, match=why):
        Image.of(made).check(STATUS)


def test_the_version_that_runs_when_it_is_wanted():
    Image.of(image(b"2.3.0-spinet")).check(STATUS, again=True)


def test_a_module_with_one_slot():
    one = UpdateStatus(UpdateState.IDLE, 0, 0xFFFF, 0, 0, 0, "2.3.0-spinet", "")
    with pytest.raises(BadImage, match="no second slot"):
        Image.of(WHOLE).check(one)


async def test_an_update(each_rig):
    moved = []
    now = await update.run(each_rig.module, Image.of(WHOLE), moved=moved.append)
    assert sum(moved) == len(WHOLE)
    assert each_rig.firmware.update.image == WHOLE
    assert now == UpdateStatus(
        *(UpdateState.IDLE, 1, 5, len(WHOLE), len(WHOLE), 1 << 16, "2.4.0-spinet", "it was kept")
    )
    assert each_rig.module.lost is None
    await each_rig.still_works()


async def test_pieces_that_get_lost(rig):
    rig.firmware.update.drops = [0, 2048, 8192]
    await update.run(rig.module, Image.of(WHOLE))
    assert rig.firmware.update.image == WHOLE


async def test_a_piece_that_is_never_taken(rig):
    rig.firmware.update.drops = [2048] * 100
    with pytest.raises(UpdateFailed, match="takes nothing behind byte 2048"):
        await update.run(rig.module, Image.of(WHOLE))


async def test_an_image_that_the_module_refuses(rig):
    rig.firmware.update.refuses = {0: b"the image is for another chip"}
    with pytest.raises(Refused, match="for another chip"):
        await update.run(rig.module, Image.of(WHOLE))
    rig.firmware.update.refuses = {2: b"the image is damaged"}
    with pytest.raises(Refused, match="the image is damaged"):
        await update.run(rig.module, Image.of(WHOLE))
    assert rig.firmware.update.slot == 0


async def test_a_module_that_knows_no_updates(rig):
    rig.firmware.refuse[Command.MODULE_UPDATE] = -1
    with pytest.raises(BadImage, match="takes no updates"):
        await update.run(rig.module, Image.of(WHOLE))


async def test_an_image_that_was_taken_back(rig):
    rig.firmware.update.goes_back = b"2.4.0 was taken back: why"
    with pytest.raises(
        UpdateFailed, match=r"version 2\.2-fake runs again: 2\.4\.0 was taken back: why"
    ):
        await update.run(rig.module, Image.of(WHOLE))


async def test_an_image_that_does_not_start_is_reset(rig, monkeypatch):
    fake = rig.firmware.update
    fake.deaf = True
    booted = rig.fake.boot

    def boot():
        fake.state, fake.slot, fake.text = 0, 0, b"power was cut or the module was reset"
        booted()

    rig.fake.boot = boot
    reset = rig.module.reset

    async def unhurried_reset():
        monkeypatch.undo()
        await reset()

    rig.module.reset = unhurried_reset
    monkeypatch.setattr(link, "START_UP_TIMEOUT", 0.001)
    with pytest.raises(UpdateFailed, match="was reset"):
        await update.run(rig.module, Image.of(WHOLE))
    assert rig.fake.resets == 1


async def test_pins_that_stay_high_are_no_start(rig, monkeypatch):
    """A chip in reset drives nothing: only the edges of its start tell that it has begun."""
    monkeypatch.setattr(link, "START_UP_STABLE", 0.001)
    rig.firmware.update.image = WHOLE
    rig.fake.restart = lambda deaf: None
    restart = asyncio.ensure_future(rig.module.update_restart())
    done, _ = await asyncio.wait({restart}, timeout=0.1)
    assert not done
    for level in (0, 1, 0, 1):
        rig.fake.pin(DATA_READY, level)
    await restart
    assert (await rig.module.update_status()).slot == 1


async def test_a_module_that_goes_in_the_middle(rig):
    rig.firmware.update.drops = [2048] * 10
    begin = rig.firmware.update.step

    def step(number, data, param):
        begin(number, data, param)
        if param == 4096:
            rig.fake.unplug()

    rig.firmware.update.step = step
    with pytest.raises(ModuleLost):
        await update.run(rig.module, Image.of(WHOLE))


async def test_a_finish_that_takes_long(quick_rig):
    """The module is busy with its flash: it answers late, and then as always."""
    rig = quick_rig
    finish = rig.firmware.update.step

    def step(number, data, param):
        finish(number, data, param)
        rig.fake.silent = number == 2

    rig.firmware.update.step = step

    def answers_again(error):
        rig.fake.silent = False

    failed = rig.module.link._went_wrong

    def went_wrong(request, error):
        answers_again(error)
        failed(request, error)

    rig.module.link._went_wrong = went_wrong
    await update.run(rig.module, Image.of(WHOLE))
    assert rig.firmware.update.slot == 1
