"""The SIM board as a child process: a module program that is started and ended with us."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from spinet_controller.errors import SimEnded
from spinet_controller.records import WirelessConfig
from spinet_controller.spi_bus import Role

NETWORK = WirelessConfig("Workshop", "spinet-sim")
"""The network in whose reach every SIM board is."""

LAST_LINES = 5
"""Lines of output that are told when the program ends by itself."""

PATIENCE = 2.0
"""Seconds between SIGTERM and SIGKILL."""


class SimProcess:
    """One module program, joined to the bus at `port`.

    Every line of its output goes to `hear(line)`. Use it as an async context manager; at the
    end the program is gone, at any point of its work.
    """

    def __init__(
        self,
        program: Path | str,
        *,
        port: int,
        role: Role,
        state: Path | str,
        hear: Callable[[str], None] | None = None,
    ) -> None:
        kind = "--protocol" if role is Role.NINA else "--role"
        self._command = [
            *(str(program), "-m", "sim", "--port", str(port)),
            *(kind, role.label, "--state", str(state)),
        ]
        self._hear = hear
        self._process: asyncio.subprocess.Process  # both from __aenter__ on
        self._listener: asyncio.Task[None]
        self._last: deque[str] = deque(maxlen=LAST_LINES)

    async def __aenter__(self) -> Self:
        try:
            # A session of its own: Ctrl-C at the terminal is ours, and we end it in order.
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            name = self._command[0]
            raise SimEnded(f"cannot start {name}: {error.strerror or error}") from error
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()
        await self._listener

    async def _listen(self) -> None:
        while line := await self._next_line():
            text = line.decode("utf-8", "replace").rstrip()
            self._last.append(text)
            if self._hear:
                self._hear(text)

    async def _next_line(self) -> bytes:
        assert self._process.stdout
        try:
            return await self._process.stdout.readline()
        except ValueError:
            return b"(a line too long to show)\n"

    async def _end(self) -> None:
        try:
            await self._told_to_end()
        except asyncio.CancelledError:
            self._signal(signal.SIGKILL)  # a second SIGTERM is not waited for
            raise

    async def _told_to_end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.returncode is not None:
                return
            self._signal(number)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._process.wait()
            except TimeoutError:
                continue

    def _signal(self, number: signal.Signals) -> None:
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return

    async def ended(self) -> SimEnded:
        """Return a SimEnded once the program has ended by itself."""
        code = await self._process.wait()
        await asyncio.shield(self._listener)
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        words = " | ".join(line for line in self._last if line) or "it said nothing"
        return SimEnded(f"the module program ended ({how}): {words}")
