"""One transaction at a time: a queue of requests, the protocol's time-outs, typed errors.

Two ways in. `await link.call(request)` is for a caller that wants one answer. The poller, which
makes the bulk of the traffic, is a `source`: when the queue is empty the link asks it for the
next request and calls the request's `done` or `failed` straight from the bus, so no task and
no future lies between two transactions.
"""

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypedDict, TypeVar, TypeVarTuple

from spinet_controller.codes import FORMAT_VERSION, MAX_DATA, Command
from spinet_controller.errors import (
    BadReply,
    LinkError,
    LinkTimeout,
    ModuleLost,
    SpinetError,
    module_error,
)
from spinet_controller.records import MODULE_HEADER, REQUEST_HEADER, padded, unpack_error
from spinet_controller.spi_bus import HEADER, BusListener, SpiBus

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")
Done = Callable[[int, bytes], None]
Failed = Callable[[SpinetError], None]

READY_TIMEOUT = 0.1
"""Seconds for DATA_READY and CS to be high before a transaction."""

FAST = 0.1
STORAGE = 0.5
FACTORY_RESET = 15.0
"""Seconds from TRANSFER_READY to the end of the transaction."""

START_UP_TIMEOUT = 15.0
START_UP_EDGES = 2
START_UP_STABLE = 0.1
"""At boot: seconds for two rising edges of DATA_READY, then for the pins to stay high."""

NEWS_INTERVAL = 0.05
"""Seconds between two fetches of news; the module repeats what was not fetched."""

RESET_PULSE = 0.01
"""Seconds the RESET pin is held."""

SILENCE = 20
"""So many transactions in a row that went wrong mean that the module is no longer there."""

_OWN_DELAY = 0.005
"""When we look more than these seconds late, we were busy ourselves, and the
module may have had its answer ready meanwhile: it gets the whole time once more."""


def _unheard(*_args: object) -> None:
    """No one is told."""


class Fields(TypedDict, total=False):
    """What else a command may send."""

    flags: int
    data: bytes
    param32: int
    sized_by_response: bool
    timeout: float


class Request:
    """One transaction: what to send, how its data phase goes, what is told of the end.

    `done(response, data)` gets a response >= 0 and the data of the module, `failed(error)` a
    ModuleError, LinkError or ModuleLost; exactly one of them is called. A number that its
    field cannot hold raises ValueError.
    """

    __slots__ = ("command", "data", "done", "failed", "sized_by_response", "timeout", "wire")

    def __init__(
        self,
        command: Command,
        socket: int = 0,
        *,
        flags: int = 0,
        data: bytes = b"",
        available: int = 0,
        param32: int = 0,
        sized_by_response: bool = False,
        timeout: float = FAST,
        done: Done = _unheard,
        failed: Failed = _unheard,
    ) -> None:
        length = len(data)
        numbers = (socket, flags, length, available, param32)
        try:
            header = REQUEST_HEADER.pack(FORMAT_VERSION, command, *numbers)
        except struct.error as error:
            raise ValueError(_unsayable(command, numbers, error)) from None
        self.command = command
        self.data = length
        self.wire = header + data if data else header
        self.sized_by_response = sized_by_response or available > 0
        self.timeout = timeout
        self.done = done
        self.failed = failed

    def data_length(self, response: int) -> int:
        """Give the bytes of the data phase that follows `response`."""
        if response < 0:
            return 0
        return response if self.sized_by_response else self.data


def _unsayable(command: Command, numbers: tuple[int, ...], error: struct.error) -> str:
    socket, flags, length, available, param32 = numbers
    return (
        f"{command.name} cannot be sent for socket {socket} with flags {flags}, {length} bytes of"
        f" data, room for {available} and param32 {param32}: {error}"
    )


class Source(Protocol):
    """What the link asks when nothing is queued."""

    def next_request(self) -> Request | None:
        """Give the next request, or None; then the link waits to be kicked."""


class Link(BusListener):
    """The link over one bus; `time_scale` multiplies every time-out.

    `wifi_state` is the state byte of the latest module header, 0 while there is no module.
    `on_state` is called when it becomes another; what that submits is the next transaction.
    `on_news` is called with the module's last error (None when it was empty) after each
    networkGetLastError that a pulse of DATA_READY asked for; `on_lost` with the ModuleLost;
    `transactions`, `failures` count.
    """

    def __init__(self, bus: SpiBus, *, time_scale: float = 1.0) -> None:
        self.bus = bus
        self.time_scale = time_scale
        self.wifi_state = 0
        self.transactions = 0
        self.failures = 0
        self.source: Source | None = None
        self.on_state: Callable[[], None] | None = None
        self.on_news: Callable[[str | None], None] | None = None
        self.on_lost: Callable[[ModuleLost], None] | None = None
        self._failures_in_row = 0
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Request] = deque()
        self._present: Request | None = None
        self._began_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._forgiven_at = 0.0
        self._starting = False
        self._news_timer: asyncio.TimerHandle | None = None
        self._news_after = 0.0
        self._lost: ModuleLost | None = None
        self.closed: ModuleLost | None = None  # of close(): there is no way back from it
        self._resetting = False
        self._power_ups = 0
        self._booted = False  # set by started_up, cleared where power or reset end it
        bus.listener = self

    # -- requests ---------------------------------------------------------------------

    def submit(self, request: Request) -> None:
        """Queue a request; it starts at once when the link is idle."""
        if self.closed or not self.bus.present:
            request.failed(self.closed or self._lost or ModuleLost("no module is connected"))
            return
        self._queue.append(request)
        self.kick()

    async def call(self, request: Request) -> tuple[int, bytes]:
        """Run a request and give `(response, data)`; errors as in `Request.failed`.

        Cancelled while it waits, the request is not sent; cancelled later, its answer is
        dropped.
        """
        future: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        request.done = lambda response, data: _settle(future, (response, data))
        request.failed = lambda error: _fail(future, error)
        self.submit(request)
        try:
            return await future
        except asyncio.CancelledError:
            if request in self._queue:
                self._queue.remove(request)
            raise

    def kick(self) -> None:
        """Start the next request, unless one is under way."""
        if self._present is None and not self._starting:
            self._start_next()

    def _start_next(self) -> None:
        self._starting = True
        try:
            while self._present is None:
                request = self._next_request()
                if request is None:
                    return
                self._start(request)
        finally:
            self._starting = False

    def _next_request(self) -> Request | None:
        if self.closed or not self.bus.present:
            return None
        if self._queue:
            return self._queue.popleft()
        return self.source.next_request() if self.source else None

    def _start(self, request: Request) -> None:
        self._present = request
        self._began_at = self._loop.time()
        if self._watch is None:
            self._watch_until(self._began_at + READY_TIMEOUT * self.time_scale)
        self.bus.transact(request.wire, request.data_length, self._ended)

    def _ended(self, reply: bytes) -> None:
        request = self._present
        assert request, "the bus has ended what it was not given"
        self.transactions += 1
        try:
            response, data = self._judge(request, reply)
        except BadReply as error:
            self._present = None
            self._went_wrong(request, error)
        else:
            self._present = None
            self._failures_in_row = 0
            if response >= 0:
                _guarded(self._loop, request.done, response, data)
            else:
                _guarded(self._loop, request.failed, module_error(request.command, response))
        self.kick()

    def _judge(self, request: Request, reply: bytes) -> tuple[int, bytes]:
        """Split a reply into response and data, or raise BadReply."""
        if len(reply) < HEADER:
            raise BadReply(f"the module ended a transaction after {len(reply)} bytes")
        version, state, _dummy, response = MODULE_HEADER.unpack_from(reply)
        if version != FORMAT_VERSION:
            raise BadReply(f"a reply with format version {version:#04x}")
        self._state_seen(state)
        length = request.data_length(response)
        if length > MAX_DATA:
            raise BadReply(f"a response of {response} is more than a data phase holds")
        if request.data and length > request.data:
            raise BadReply(f"{response} bytes accepted of {request.data}")
        if len(reply) < HEADER + padded(length):
            raise BadReply(f"{len(reply) - HEADER} bytes of data for a response of {response}")
        if length and not request.data:
            return response, reply[HEADER : HEADER + length]
        return response, b""

    def _state_seen(self, state: int) -> None:
        if state != self.wifi_state:
            self.wifi_state = state
            if self.on_state:
                _guarded(self._loop, self.on_state)

    def _went_wrong(self, request: Request, error: LinkError) -> None:
        self.failures += 1
        self._failures_in_row += 1
        _guarded(self._loop, request.failed, error)
        if self._failures_in_row == SILENCE:
            self.module_lost(ModuleLost(f"the module does not answer any more ({error})"))

    # -- time-outs --------------------------------------------------------------------

    def _deadline(self, request: Request) -> float:
        """Give the loop time at which the present transaction has taken too long."""
        offered_at = self.bus.offered_at
        if offered_at is None:
            return max(self._began_at, self._forgiven_at) + READY_TIMEOUT * self.time_scale
        return max(offered_at, self._forgiven_at) + request.timeout * self.time_scale

    def _watch_until(self, when: float) -> None:
        self._watch = self._loop.call_at(when, self._look, when)

    def _look(self, when: float) -> None:
        """One timer watches all transactions; it looks again where it found time left."""
        self._watch = None
        request = self._present
        if request is None:
            return
        now = self._loop.time()
        if now - when > _OWN_DELAY:
            self._forgiven_at = now
        deadline = self._deadline(request)
        if now < deadline:
            self._watch_until(deadline)
        else:
            self._time_out(request)

    def _time_out(self, request: Request) -> None:
        self._present = None
        error = self._timeout_error(request)
        self.bus.withdraw()
        self._went_wrong(request, error)
        self.kick()

    def _timeout_error(self, request: Request) -> LinkTimeout:
        name = request.command.name
        if self.bus.offered_at is None:
            limit = READY_TIMEOUT * self.time_scale
            pin = "CS" if self.bus.data_ready else "DATA_READY"
            return LinkTimeout(f"{name}: {pin} stayed low for {limit:g} s", started=False)
        limit = request.timeout * self.time_scale
        return LinkTimeout(f"{name}: not answered within {limit:g} s", started=self.bus.started)

    # -- what the bus reports ---------------------------------------------------------

    def module_came(self) -> None:
        """A module has power (BusListener); it is usable after `started_up`."""
        self._lost = None
        self._booted = False
        self._power_ups += 1

    def module_lost(self, error: ModuleLost) -> None:
        """The module is gone (BusListener): all that is under way fails, and all that follows."""
        if self.closed:
            return
        self._lose(error)

    def _lose(self, error: ModuleLost) -> None:
        if not self._resetting:
            self._lost = error
        self._failures_in_row = 0
        self.wifi_state = 0
        present, self._present = self._present, None
        if present and self.bus.present:
            self.bus.withdraw()
        waiting: list[Request] = [present, *self._queue] if present else [*self._queue]
        self._queue.clear()
        for request in waiting:
            _guarded(self._loop, request.failed, error)
        if self.on_lost:
            self.on_lost(error)

    def news(self) -> None:
        """DATA_READY was pulsed (BusListener): fetch the news, at most every NEWS_INTERVAL.

        The edges of a start-up are no news.
        """
        if self._booted and not self.closed and self._news_timer is None:
            when = max(self._loop.time(), self._news_after)
            self._news_timer = self._loop.call_at(when, self._fetch_news)

    def _fetch_news(self) -> None:
        self._news_timer = None
        self._news_after = self._loop.time() + NEWS_INTERVAL
        self.submit(
            Request(
                Command.NETWORK_GET_LAST_ERROR,
                available=MAX_DATA,
                done=self._news_fetched,
                failed=self._news_failed,
            )
        )

    def _news_fetched(self, _length: int, data: bytes) -> None:
        if self.on_news:
            self.on_news(unpack_error(data))

    def _news_failed(self, error: SpinetError) -> None:
        log.debug("news were not fetched: %s", error)

    # -- start-up ---------------------------------------------------------------------

    async def came(self) -> None:
        """Return when a module has power; the caller says how long to wait.

        A module that breaks a rule of the bus before it is there raises ModuleLost.
        """
        self._raise_if_closed()
        self._lost = None
        while not self.bus.present:
            await self._pins_changed()

    async def started_up(self) -> None:
        """Return when the module has booted: two rising edges, then steady pins.

        LinkTimeout when that takes longer than START_UP_TIMEOUT, ModuleLost when the power
        goes meanwhile.
        """
        seconds = START_UP_TIMEOUT * self.time_scale
        try:
            async with asyncio.timeout(seconds):
                await self._edges_seen()
                await self._pins_steady()
                self._booted = True
        except TimeoutError:
            raise LinkTimeout(f"the module did not start within {seconds:g} s", False) from None

    async def _edges_seen(self) -> None:
        while self.bus.edges < START_UP_EDGES:
            await self._pins_changed()

    async def _pins_steady(self) -> None:
        while True:
            try:
                async with asyncio.timeout(START_UP_STABLE):
                    await self._pins_changed()
            except TimeoutError:
                if self.bus.data_ready and self.bus.cs:
                    return

    def _raise_if_closed(self) -> None:
        if self.closed:
            raise self.closed

    async def _pins_changed(self) -> None:
        self._raise_if_closed()
        if self._lost:
            raise self._lost
        await self.bus.pins_changed()

    async def reset(self) -> None:
        """Pull RESET, and return when the module has booted again; errors as `started_up`.

        A bus on which a reset is a loss of power (the module connects anew) does as well.
        """
        self._raise_if_closed()
        self._resetting = True
        self._booted = False
        try:
            await self._pulse_reset()
            await self.started_up()
        finally:
            self._resetting = False

    async def restarted(self, request: Request) -> None:
        """Send a request by which the module restarts, and return when it has booted again.

        Errors are those of `call` and `started_up`.
        """
        answered: asyncio.Future[None] = self._loop.create_future()

        def done(_response: int, _data: bytes) -> None:
            self.bus.edges = 0  # at once: those of the start-up may have come already
            self._booted = False
            _settle(answered, None)

        request.done = done
        request.failed = lambda error: _fail(answered, error)
        self.submit(request)
        await answered
        self._resetting = True
        try:
            self.module_lost(ModuleLost("the module restarts"))
            await self.started_up()
        finally:
            self._resetting = False

    async def _pulse_reset(self) -> None:
        """Hold RESET for a while. A cancelled caller leaves no module that is held."""
        power_ups = self._power_ups
        self.bus.set_reset(True)
        self._lost = None  # of a module that fell silent, which this is the remedy for
        try:
            self.module_lost(ModuleLost("the module was reset"))
            await asyncio.sleep(RESET_PULSE)
        finally:
            if self.bus.present and self._power_ups == power_ups:
                self.bus.set_reset(False)

    def close(self) -> None:
        """Fail what is waiting with ModuleLost, and all that is asked for from now on."""
        if self.closed:
            return
        for timer in (self._watch, self._news_timer):
            if timer:
                timer.cancel()
        self.closed = ModuleLost("the link was closed")
        self._lose(self.closed)
        self.bus.wake()


def _settle(future: asyncio.Future[_T], result: _T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[_T], error: SpinetError) -> None:
    if not future.done():
        future.set_exception(error)


def _guarded(
    loop: asyncio.AbstractEventLoop, callback: Callable[[*_Ts], object], *args: *_Ts
) -> None:
    """Call back; an exception of the callee is its own and must not end the bus."""
    try:
        callback(*args)
    except Exception as error:
        loop.call_exception_handler({"message": "a link callback raised", "exception": error})
