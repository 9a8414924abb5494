"""Updates over the network: the steps of moduleUpdate, over TLS by the key of the module's owner.

This end connects, and is the TLS server on that connection: the module has the owner's certificate,
and nothing that is secret.
"""

import asyncio
import os
import re
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from spinet_controller.codes import UPDATE_AGAIN, UPDATE_PORT, Command, UpdateStep
from spinet_controller.errors import (
    BadOwner,
    BadReply,
    ModuleLost,
    NotReached,
    Refused,
    module_error,
)
from spinet_controller.records import UpdateStatus

_STEP = struct.Struct("<BxHI")
"""Flags, length of the data, number; the data follow."""

_ANSWER = struct.Struct("<BxH")
"""0 or a code less its sign, length; an UpdateStatus or words follow."""

CONNECT_TIMEOUT = 10.0
"""Seconds for a connection."""

HANDSHAKE_TIMEOUT = 30.0
"""Seconds for TLS: the module may have strangers to turn away first."""

ANSWER_TIMEOUT = 60.0
"""Seconds for an answer: the module reads the whole image before it chooses it."""

RETURN_TIMEOUT = 300.0
"""Seconds for a module to be back: two minutes on trial, and twice the time to join a network."""

_LOOK = 0.5
"""Seconds between two attempts meanwhile."""

_LARGEST_OWNER = 1 << 20
"""Bytes of an owner's file that are looked at."""

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\r?\n?", re.DOTALL
)


def owner_certificate(path: Path) -> bytes:
    """Give the certificate (PEM) in an owner's file, without the key; BadOwner without one."""
    with path.open("rb") as file:
        found = _CERTIFICATE.search(file.read(_LARGEST_OWNER))
    if not found:
        raise BadOwner(f"{path}: there is no certificate in it")
    return found[0]


def owner_context(path: Path, password: Callable[[], str] | None = None) -> ssl.SSLContext:
    """Read an owner's file (PEM), for a NetworkModule; BadOwner without key and certificate.

    If the key is encrypted, `password` is called for its password.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asked = False

    def ask() -> str:
        nonlocal asked
        asked = True
        return password() if password else ""

    try:
        context.load_cert_chain(path, password=ask)
    except (ssl.SSLError, ValueError) as error:  # ValueError: a password that none can have
        reason = error.reason if isinstance(error, ssl.SSLError) else None
        raise BadOwner(f"{path}: {_why_no_owner(reason, asked)}") from None
    return context


def _why_no_owner(reason: str | None, encrypted: bool) -> str:
    if reason and "MISMATCH" not in reason:
        return f"OpenSSL refuses it: {reason.lower().replace('_', ' ')}"
    if encrypted and not reason:
        return "its key is encrypted, and this is not its password"
    why = "they do not belong together" if reason else "one is missing"
    return f"a key and its certificate are needed, {why}"


class NetworkModule:
    """A module that takes updates over the network: `update.run` takes it as it takes a Module.

    It connects when it is first asked for something. NotReached when there is no such module, or
    it has another owner; ModuleLost when the connection breaks. Leaving `async with` ends it.
    """

    def __init__(self, host: str, owner: ssl.SSLContext, *, port: int = UPDATE_PORT) -> None:
        self.host = host
        self.port = port
        self._owner = owner
        self._wire: tuple[asyncio.Transport, _Answers] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection; the module drops what has come of an image."""
        if self._wire:
            transport, answers = self._wire
            self._wire = None
            transport.abort()
            await answers.over.wait()

    async def update_begin(self, size: int, head: bytes, *, again: bool = False) -> None:
        """Announce an image of `size` bytes that begins with the 288 bytes `head`, else Refused."""
        await self._do(UpdateStep.BEGIN | (UPDATE_AGAIN if again else 0), size, head)

    async def update_piece(self, at: int, piece: bytes) -> None:
        """Send 2048 bytes of the image, or what is left of it, from offset `at`."""
        await self._do(UpdateStep.PIECE, at, piece)

    async def update_finish(self) -> None:
        """Have the module check the image and choose it for its next start, else Refused."""
        await self._do(UpdateStep.FINISH)

    async def update_owner(self, certificate: bytes) -> None:
        """Give the module another owner, from its next start on; without bytes, none."""
        await self._do(UpdateStep.OWNER, 0, certificate)

    async def update_status(self) -> UpdateStatus:
        """Give the UpdateStatus. An image on trial is kept for having been asked."""
        try:
            return UpdateStatus.unpack(await self._do(UpdateStep.STATUS))
        except struct.error as error:
            raise BadReply(f"MODULE_UPDATE: {error}") from error

    async def update_restart(self) -> None:
        """Have the module start what was chosen, and wait until it is back on the network.

        NotReached when it is not within five minutes.
        """
        await self._do(UpdateStep.RESTART)
        await self.close()
        try:
            async with asyncio.timeout(RETURN_TIMEOUT):
                await self._return()
        except TimeoutError:
            raise NotReached(f"the module has not come back to {self._where()}") from None

    async def _return(self) -> None:
        while True:
            try:
                return await self._connect()
            except NotReached:
                await asyncio.sleep(_LOOK)

    async def _do(self, flags: int, number: int = 0, data: bytes = b"") -> bytes:
        """Have a step done: what is answered, else Refused, or the ModuleError of a code."""
        code, answer = await self._ask(_STEP.pack(flags, len(data), number) + data)
        if code and answer:
            raise Refused(f"the module says: {answer.decode('utf-8', 'replace')}")
        if code:
            raise module_error(Command.MODULE_UPDATE, -code)
        return answer

    async def _ask(self, step: bytes) -> tuple[int, bytes]:
        if not self._wire:
            await self._connect()
        assert self._wire
        transport, answers = self._wire
        transport.write(step)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                code, size = _ANSWER.unpack(await answers.reader.readexactly(_ANSWER.size))
                return code, await answers.reader.readexactly(size)
        except TimeoutError:
            raise ModuleLost(f"the module at {self._where()} does not answer any more") from None
        except (OSError, EOFError):
            raise ModuleLost(f"the connection to {self._where()} broke") from None

    async def _connect(self) -> None:
        plain = socket.socket()
        plain.setblocking(False)
        try:
            await self._dial(plain)
            self._wire = await self._secure(plain)
        except BaseException:
            plain.close()
            raise

    async def _dial(self, plain: socket.socket) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(plain, (self.host, self.port))
        except TimeoutError:
            raise NotReached(f"nothing answers at {self._where()}") from None
        except ConnectionResetError:
            raise self._busy() from None
        except UnicodeError:
            raise NotReached(f"{self.host!r} is no name of a host") from None
        except OSError as error:
            found = error.errno and error.errno > 0  # less than 0: the name was not found
            why = os.strerror(error.errno or 0) if found else error.strerror
            raise NotReached(f"no module takes updates at {self._where()}: {why}") from None

    async def _secure(self, plain: socket.socket) -> "tuple[asyncio.Transport, _Answers]":
        try:
            return await asyncio.get_running_loop().connect_accepted_socket(
                _Answers, plain, ssl=self._owner, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except ssl.SSLError as error:
            raise NotReached(self._why(str(error.reason))) from None
        except ConnectionAbortedError:  # asyncio's, for HANDSHAKE_TIMEOUT
            silent = f"what is at {self._where()} says nothing: it is busy"
            raise NotReached(f"{silent}, or no module that takes updates") from None
        except OSError:
            raise self._busy() from None

    def _busy(self) -> NotReached:
        return NotReached(f"the module at {self._where()} is busy with another connection")

    def _why(self, reason: str) -> str:
        if "ALERT" in reason:
            return f"the module at {self._where()} refuses this key: it has another owner"
        return f"what is at {self._where()} is no module that takes updates"

    def _where(self) -> str:
        return f"{self.host}:{self.port}"


class _Answers(asyncio.StreamReaderProtocol):
    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.over = asyncio.Event()
        super().__init__(self.reader)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.over.set()
