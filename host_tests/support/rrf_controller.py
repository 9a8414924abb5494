"""A controller that behaves as a Duet's does. The strict RawController has better manners.

RrfController is its link, module-clocked: it polls DATA_READY, gives up after 100 ms, leaves
TRANSFER_READY high then and goes on; what the module clocks meanwhile reads 0xFF. RrfNetwork is
what its firmware does with the network, turn by turn; it works with either controller.
"""

import contextlib
import select
import threading
import time

from endurance.limits import READY_S, limit_s
from raw_controller import (
    CLOCK,
    CS,
    DATA_READY,
    MODULE_CLOCKED,
    PATIENCE,
    PIN,
    SHIFT,
    TRANSFER_READY,
    RawController,
    frame,
    listen_or_connect,
    request,
)

from spinet import states
from spinet.duet import wire
from spinet_controller.codes import Command

POLL_S = 0.001  # between two looks at DATA_READY
OVERSLEPT_S = 0.01  # after so long without a look, levels of 20 ms may have been missed
SOONEST_S = 0.009  # the module looks at the level 10 ms after a transaction, by whole ms
START_S = 15
STABLE_S = 0.1
UNHURRIED = 100  # the patience of tests that are not about time-outs


class RrfController(RawController):
    """The SPI hardware is a thread, which answers at once, also while the controller is busy.

    transact() gives the responses Timeout, Busy and BadReplyFormatVersion where it fails, with the
    WiFi state that was last heard. `patience` multiplies the times after which it gives up. A slow
    board: each CLOCK takes `shift_s`, and TRANSFER_READY falls `drop_s` after CS has risen.
    """

    def __init__(self, patience=1):
        super().__init__()
        self.patience = patience
        self.shift_s = self.drop_s = 0
        self.state = states.WIFI_IDLE
        self.unarmed = 0  # CLOCKs that found nothing armed
        self.early = 0  # transactions without a request, too soon for a look at the level
        self._changed = threading.Condition()  # for all that follows
        self._hardware = None
        self._ended = False
        self._message = None  # what DMA shifts out; None: it is off
        self._heard = b""  # what the module has shifted in the meantime
        self._offered = 0  # TRANSFER_READY's level
        self._answered_at = 0.0  # when the last SHIFT was sent
        self._polled_at = 0.0
        self._polled = 0, 0  # DATA_READY's level and the rises that there were at the last look
        self._rises_seen = 0

    # --- power

    def accept(self):
        """Take the module; from now on the hardware answers it."""
        version = super().accept()
        assert self.role == MODULE_CLOCKED, "a Duet does not drive the clock"
        self._ended = False
        self._message = None
        self._offered = 0
        self._rises_seen = 0
        self._polled_at = time.monotonic()
        self._polled = 0, 0
        self.sock.settimeout(POLL_S)
        self._hardware = threading.Thread(target=self._attend, daemon=True)
        self._hardware.start()
        return version

    def power_off(self):
        if self._hardware:
            with self._changed:
                self._ended = True
            self._hardware.join()
            self._hardware = None
        super().power_off()

    def wait_boot(self):
        """Wait for two rising edges of a pin that is only polled, then for steady pins."""
        with self._changed:
            limit = time.monotonic() + max(START_S, PATIENCE)
            while self._rises_seen < 2:
                assert time.monotonic() < limit, "the start timed out"
                self._changed.wait(POLL_S)
            while self._changed.wait_for(lambda: not self.idle(), STABLE_S):
                assert time.monotonic() < limit, "the pins are not steady"
                self._changed.wait(POLL_S)

    # --- the hardware's thread

    def _attend(self):
        try:
            while not self._ended:
                self._hear()
                self._poll()
        except (EOFError, OSError):
            pass
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _hear(self):
        with contextlib.suppress(TimeoutError):
            self.receive()

    def _poll(self):
        """Look at DATA_READY now and then; what came and went in between is not seen.

        While frames wait to be received, its level is an old one: a look would begin the next
        interval with it, and the edges in those frames would pass between two looks.
        """
        now = time.monotonic()
        if now - self._polled_at < POLL_S or self._frames_wait():
            return
        with self._changed:
            level, rises = self.pins[DATA_READY], self.rises
            if now - self._polled_at > OVERSLEPT_S:  # the computer's fault, not the module's
                self._rises_seen += rises - self._polled[1]
            elif level > self._polled[0]:
                self._rises_seen += 1
            self._polled = level, rises
            self._polled_at = now

    def _frames_wait(self):
        return bool(self._buffer or select.select([self.sock], [], [], 0)[0])

    def _seen(self, kind, arg, payload):
        with self._changed:
            seen = super()._seen(kind, arg, payload)
            if kind == CLOCK:
                self._shift(payload)
            elif (kind, arg, payload) == (PIN, CS, b"\1"):
                self._deselected()
            elif (kind, arg) == (PIN, CS):
                self._selected()
            self._changed.notify_all()
        return seen

    def _selected(self):
        if self._message is None and time.monotonic() - self._answered_at < SOONEST_S:
            self.early += 1

    def _shift(self, clocked):
        n = len(clocked)
        at = len(self._heard)
        time.sleep(self.shift_s)
        if self._message is None:
            self.unarmed += 1
            out = b"\xff" * n
        else:
            out = self._message[at : at + n].ljust(n, b"\0")
            self._heard += clocked
        self._answered_at = time.monotonic()
        self.send(frame(SHIFT, 0, out))

    def _deselected(self):
        """An interrupt, which is enabled while a transfer is pending."""
        if self._message is not None:
            self._message = None
            time.sleep(self.drop_s)
            self._offer(0)

    def _offer(self, level):
        self._offered = level
        self.pin(TRANSFER_READY, level)

    # --- the firmware

    def send(self, data):
        with self._changed:
            super().send(data)

    def until(self, condition):
        """Sleep until condition() holds."""
        with self._changed:
            assert self._wait(condition, PATIENCE), "the module did not get there"

    def _wait(self, condition, seconds):
        done = self._changed.wait_for(lambda: self._ended or condition(), seconds)
        if self._ended:
            raise EOFError("the module closed the bus")
        return done

    def transact(self, message, take=2048):
        """One transaction: (state, response, data)."""
        with self._changed:
            if not self._wait(self.idle, READY_S * self.patience):
                return self.state, wire.BUSY, b""
            self._message, self._heard = message, b""
            if not self._offered:
                self._offer(1)
            if not self._wait(lambda: self._message is None, limit_s(message[1]) * self.patience):
                self._message = None  # DMA is off, the pin stays as it is
                return self.state, wire._TIMEOUT, b""
            return self._decoded(self._heard)

    def _decoded(self, shifted):
        if len(shifted) < wire.HEADER_SIZE or shifted[0] != wire._FORMAT_VERSION:
            return self.state, wire._BAD_REPLY_FORMAT_VERSION, b""
        decoded = super()._decoded(shifted)
        self.state = decoded[0]
        return decoded


# For runs that take either.
CONTROLLERS = {"strict": RawController, "rrf": RrfController}


class Responder:
    """Serves one connection: sends everything back, and closes it when the peer has."""

    def __init__(self, peer):
        self.peer = peer  # its port: another one is a new connection in the same socket
        self.out = b""
        self.broken = False  # a transaction failed; what was lost is not known
        self.released = False  # connClose or connAbort was answered


BETWEEN = (states.WIFI_CONNECTING, states.WIFI_AUTO_RECONNECTING, states.WIFI_RECONNECTING)


class RrfNetwork:
    """Joins `ssid`, listens on `port` and echoes. Call turn() as often as there is time.

    While WiFi connects or reconnects it sends no networkStop and no networkStartClient. It asks one
    socket in a turn, and stops listening on port 0 after each session, as for an FTP data port that
    it does not have.
    """

    def __init__(self, controller, ssid, port):
        self._controller = controller
        self._ssid = ssid
        self.port = port
        self._state = states.WIFI_IDLE
        self._rises = -1  # of DATA_READY, at the last turn
        self.listening = False
        self._responders = [None] * states.SOCKETS
        self._socket = 0
        self._flagged = 0  # sockets that the bit maps of the latest connGetStatus name
        self.failed = {}  # response -> how many transactions failed with it
        self.served = 0

    def ask(self, command, *args, **fields):
        """One transaction: (response, data)."""
        message = request(command, *args, **fields)
        self._state, response, data = self._controller.transact(message)
        if response in (wire._TIMEOUT, wire.BUSY, wire._BAD_REPLY_FORMAT_VERSION):
            self.failed[response] = self.failed.get(response, 0) + 1
        return response, data

    def all_free(self):
        """Whether connGetStatus works for each of the sockets and says that it is free."""
        return all(
            self.ask(Command.CONN_GET_STATUS, number)[1][:1] == bytes([states.FREE])
            for number in range(states.SOCKETS)
        )

    def turn(self):
        """One turn; True unless its last transaction failed."""
        before = sum(self.failed.values())
        if self._has_news():
            self.ask(Command.NETWORK_GET_LAST_ERROR)
        elif self._state == states.WIFI_CONNECTED:
            self._maintain()
        elif self._state not in BETWEEN:
            self._change_mode()
        else:
            self.ask(Command.NULL)
        return sum(self.failed.values()) == before

    def _has_news(self):
        """True when DATA_READY rose; controller-clocked it rises for each phase, without news."""
        before, self._rises = self._rises, self._controller.rises
        return self._controller.role == MODULE_CLOCKED and self._rises != before

    def _change_mode(self):
        self.listening = False
        if self._state != states.WIFI_IDLE:
            self.ask(Command.NETWORK_STOP)
        else:
            self.ask(Command.NETWORK_START_CLIENT, data=self._ssid)

    def _maintain(self):
        if not self.listening:
            self.listening = (
                self.ask(Command.NETWORK_LISTEN, data=listen_or_connect(self.port))[0] == 0
            )
        else:
            self._poll(self._next_socket())

    def _next_socket(self):
        """The next one that has something, or else just the next one."""
        order = [(self._socket + step) % states.SOCKETS for step in range(states.SOCKETS)]
        busy = [n for n in order if self._responders[n] or self._flagged >> n & 1]
        chosen = (busy or order)[0]
        self._socket = (chosen + 1) % states.SOCKETS
        return chosen

    def _poll(self, number):
        response, status = self.ask(Command.CONN_GET_STATUS, number)
        if response < 0:
            return
        state = status[0]
        available, space, connected, ended = (
            int.from_bytes(status[at : at + 2], "little") for at in (12, 14, 16, 18)
        )
        self._flagged = connected | ended
        responder = self._responders[number]
        if responder and (state == states.FREE or responder.peer != status[6:8]):
            self._finish(number)
        elif state in (states.CONNECTED, states.OTHER_END_CLOSED, states.ABORTED):
            responder = self._responders[number] = responder or Responder(status[6:8])
            self._serve(number, responder, state, available, space)

    def _finish(self, number):
        self._responders[number] = None
        self.served += 1
        self.ask(Command.NETWORK_LISTEN, data=listen_or_connect(0, limit=0))

    def _serve(self, number, responder, state, available, space):
        if state == states.ABORTED or responder.broken:
            responder.broken = True
            self._release(number, responder, Command.CONN_ABORT)
        elif available:
            self._read(number, responder)
        elif responder.out and space:
            self._write(number, responder, space)
        elif state == states.OTHER_END_CLOSED and not responder.out:
            self._release(number, responder, Command.CONN_CLOSE)

    def _release(self, number, responder, command):
        if not responder.released:
            responder.released = self.ask(command, number)[0] == 0

    def _read(self, number, responder):
        response, data = self.ask(Command.CONN_READ, number)
        responder.out += data
        responder.broken = response < 0

    def _write(self, number, responder, space):
        data = responder.out[: min(space, wire.MAX_DATA)]
        response, _ = self.ask(Command.CONN_WRITE, number, flags=wire.FLAG_PUSH, data=data)
        responder.broken = response < 0
        responder.out = responder.out[max(0, response) :]
