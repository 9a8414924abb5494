"""A new image for a module: looked at, sent, started, and kept once it has answered."""

import asyncio
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from spinet_controller.codes import MAX_DATA, UpdateState
from spinet_controller.errors import (
    BadImage,
    LinkError,
    LinkTimeout,
    UnknownCommand,
    UpdateFailed,
)
from spinet_controller.module import Module
from spinet_controller.over_network import NetworkModule
from spinet_controller.records import UpdateStatus

HEAD = 288
_DIGEST = 32
_MAGIC = 0xE9
_DESCRIPTOR = struct.pack("<I", 0xABCD5432)

_OFFSETS = (0, 0xF000, 0x10000)
"""Where the application begins in a file: alone, in an ESP32's `firmware.bin`, in a whole flash."""

_CHIPS = {0: "ESP32", 2: "ESP32-S2", 5: "ESP32-C3", 9: "ESP32-S3", 13: "ESP32-C6", 0x5350: "SIM"}

_PIECES = 16
"""So many are sent before the module is asked what has come."""

_STALLS = 20
"""So often in a row nothing may have come."""

_LOOK = 0.05
"""Seconds between two looks at a module that is busy or on trial."""


def _chip(number: int) -> str:
    return _CHIPS.get(number, f"chip {number}")


@dataclass(frozen=True)
class Image:
    """An application for a module: its bytes, the number of its chip, the text of its version."""

    data: bytes
    chip: int
    version: str

    @classmethod
    def of(cls, file: bytes) -> Self:
        """Take the application out of a file's bytes; BadImage when there is no sound one.

        The file is the application itself, or boot loader, partition table and application in one.
        """
        found = [at for at in _OFFSETS if file[at + 32 : at + 36] == _DESCRIPTOR]
        if not found or file[found[0]] != _MAGIC:
            raise BadImage("this is no image of an application")
        data = file[found[0] :]
        _check_whole(data)
        version = data[48:80].split(b"\0", 1)[0].decode("utf-8", "replace")
        return cls(data, int.from_bytes(data[12:14], "little"), version)

    def check(self, status: UpdateStatus, again: bool = False) -> None:
        """BadImage when a module of this UpdateStatus cannot take it.

        `again` also allows the version that runs.
        """
        if not status.room:
            raise BadImage("the module has no second slot: its images come by cable")
        if self.chip != status.chip:
            raise BadImage(f"the image is for {_chip(self.chip)}, the module {_chip(status.chip)}")
        if "-spinet" not in self.version:
            raise BadImage(f"the image is of another firmware: its version is {self.version!r}")
        if len(self.data) > status.room:
            raise BadImage(f"the image has {len(self.data)} bytes, the slot {status.room}")
        if self.version == status.version and not again:
            raise BadImage(f"version {self.version} runs already")


def _check_whole(data: bytes) -> None:
    """The file has all segments, and the hash that fits them."""
    at = 24
    for _ in range(data[1]):
        if at + 8 > len(data):
            raise BadImage("the image is cut short")
        at += 8 + int.from_bytes(data[at + 4 : at + 8], "little")
    end = at + 16 & ~15
    if not data[23]:
        raise BadImage("the image has no hash")
    if end + _DIGEST > len(data):
        raise BadImage("the image is cut short")
    if end + _DIGEST < len(data):
        raise BadImage("the file goes on behind the image")
    if hashlib.sha256(data[:end]).digest() != data[end:]:
        raise BadImage("the image is damaged: its hash is another")


async def run(
    module: Module | NetworkModule,
    image: Image,
    *,
    again: bool = False,
    moved: Callable[[int], object] = lambda _count: None,
) -> UpdateStatus:
    """Send an image and restart the module into it; give the UpdateStatus once it is kept.

    `moved(count)` is told of bytes that have come. BadImage, or Refused by the module, before
    anything changed; UpdateFailed when the module runs the old image again. Cancelled, it leaves
    the module with the old one.
    """
    before = await status(module)
    image.check(before, again)
    await module.update_begin(len(image.data), image.data[:HEAD], again=again)
    await _send(module, image.data, moved)
    await _finish(module)
    await module.update_restart()
    while (now := await module.update_status()).state == UpdateState.ON_TRIAL:
        await asyncio.sleep(_LOOK)
    if now.slot == before.slot:
        raise UpdateFailed(f"version {now.version} runs again: {now.text}")
    return now


async def status(module: Module | NetworkModule) -> UpdateStatus:
    """Give the UpdateStatus; BadImage when the module's firmware knows no updates."""
    try:
        return await module.update_status()
    except UnknownCommand:
        raise BadImage("the module's firmware takes no updates over the link") from None


async def _send(
    module: Module | NetworkModule, data: bytes, moved: Callable[[int], object]
) -> None:
    at = stalls = 0
    while at < len(data):
        received = await _sent_some(module, data, at)
        stalls = 0 if received > at else stalls + 1
        if stalls == _STALLS:
            raise UpdateFailed(f"the module takes nothing behind byte {at}")
        moved(received - at)
        at = received


async def _sent_some(module: Module | NetworkModule, data: bytes, at: int) -> int:
    """Send some pieces from `at` on; give how many bytes the module has."""
    try:
        for piece_at in range(at, min(at + _PIECES * MAX_DATA, len(data)), MAX_DATA):
            await module.update_piece(piece_at, data[piece_at : piece_at + MAX_DATA])
        now = await module.update_status()
    except LinkError:
        return at  # what has come of it, the next look tells
    if now.state != UpdateState.ARRIVING:
        raise UpdateFailed(now.text)
    return now.received


async def _finish(module: Module | NetworkModule) -> None:
    """The module reads the whole image, and answers nothing meanwhile."""
    try:
        await module.update_finish()
    except LinkTimeout:
        while (now := await _answered(module)).state == UpdateState.ARRIVING:
            await asyncio.sleep(_LOOK)
        if now.state != UpdateState.CHOSEN:
            raise UpdateFailed(now.text) from None


async def _answered(module: Module | NetworkModule) -> UpdateStatus:
    """Ask until there is an answer; ModuleLost when there is none for long."""
    while True:
        try:
            return await module.update_status()
        except LinkError:
            await asyncio.sleep(_LOOK)
