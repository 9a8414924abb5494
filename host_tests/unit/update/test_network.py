"""Updates over the network: the owner's steps, and strangers, in a whole service over a stub."""

import ssl
import struct

import pytest
from images import NEW, MemorySlots, Restart, image, pieces
from nina_bench import NinaBench, NinaBoard
from tls_rig import certificate_of, owner_key

from spinet import VERSION_TEXT as VERSION
from spinet import compat, trace
from spinet.debug import trace_lines
from spinet.tls.stack import _MEMORY
from spinet.update import owner, record, steps

PORT = 21328
BEGIN, PIECE, FINISH, RESTART, CANCEL, STATUS, OWNER = range(7)
IMAGE = image()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The files of the owner's key, and of a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    return owner_key(folder), owner_key(folder, "stranger")


@pytest.fixture
def thread(monkeypatch):
    """The handshake's thread runs in the test's."""

    def start(function, args, _stack):
        function(*args)

    monkeypatch.setattr(compat, "start_thread", start)


@pytest.fixture
def board(keys):
    board = NinaBoard()
    board.OWNER = certificate_of(keys[0])
    board.the_slots = MemorySlots()
    return board


@pytest.fixture
def bench(monkeypatch, board, thread):
    return NinaBench(monkeypatch, board)


class Computer:
    """Someone's computer, which connects and serves TLS by this key."""

    def __init__(self, bench, key):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(key)
        self.bench = bench
        self.peer = bench.stack.dial(PORT)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_side=True)
        self._seen = 0

    def move(self):
        """Bytes cross in both directions, and the module's loop goes on."""
        to_send = self._out.read()
        while True:
            to_send = to_send[self.peer.send(to_send) :]
            self.bench.passes(1)
            got = self.peer.received()
            self._in.write(got[self._seen :])
            self._seen = len(got)
            if not to_send:
                return

    def shake(self):
        """The handshake, or ssl.SSLError for what the module says to it."""
        for _ in range(30):
            try:
                self.ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.move()
        else:
            raise AssertionError("the handshake does not end")
        self.move()
        self.bench.passes()

    def ask(self, flags, number=0, data=b""):
        """A step's (code, answer)."""
        self.ssl.write(struct.pack("<BxHI", flags, len(data), number) + data)
        answer = b""
        for _ in range(30):
            self.move()
            try:
                answer += self.ssl.read(4096)
            except ssl.SSLWantReadError:
                continue
            code, n = struct.unpack_from("<BxH", answer)
            assert len(answer) == 4 + n
            return -code, answer[4:]
        raise AssertionError("there is no answer")

    def is_refused(self):
        with pytest.raises(ssl.SSLError) as info:
            self.shake()
        return "alert" in info.value.reason.lower()


@pytest.fixture
def computer(bench, keys):
    """The owner's, whose handshake is over."""
    computer = Computer(bench, keys[0])
    computer.shake()
    return computer


def traced():
    """The latest texts of the trace."""
    texts = trace_lines.Snapshot(trace.TRACE).texts
    return [texts[number].decode() for number in sorted(texts)]


def nothing_taken(bench):
    """Strangers leave neither a slot nor memory, and the controller is not told of them."""
    service = bench.service
    assert service.tls.sessions() == 0
    assert service.manager.reserved == 0
    assert all(slot.state == 0 for slot in service.manager.slots)
    assert service.error.text == b""
    return True


# --- on and off


def test_off_unless_it_is_turned_on(monkeypatch, board):
    board.OWNER = ""
    bench = NinaBench(monkeypatch, board)
    assert bench.stack.dial(PORT) is None
    assert bench.service.updates is None


def test_what_the_board_file_says_is_kept_by_the_next_image(monkeypatch, bench, board, keys):
    stored = board.the_owner_store.data
    assert stored == certificate_of(keys[0]).encode()
    board.OWNER = ""
    board.the_stack = type(board.the_stack)()
    again = NinaBench(monkeypatch, board)
    assert again.stack.dial(PORT)
    assert owner.change(board, b"") is None
    assert owner.of(board) == b""


def test_the_stored_certificate_counts_before_the_board_files(board, keys):
    stranger = certificate_of(keys[1])
    assert owner.change(board, stranger) is None
    assert owner.of(board) == stranger.encode()


def test_a_full_disk_leaves_it_on(monkeypatch, board, thread):
    board.the_owner_store.fails = True
    assert NinaBench(monkeypatch, board).stack.dial(PORT)


def test_a_firmware_without_tls(monkeypatch, board, keys):
    monkeypatch.setattr(compat, "tls_session", None)
    assert NinaBench(monkeypatch, board).service.updates is None
    assert owner.change(board, certificate_of(keys[0])) == "TLS is not in this firmware"


@pytest.mark.parametrize(
    ("text", "why"),
    [("?", "the owner's certificate: "), (None, "the owner's key must stay with the owner")],
)
def test_what_is_no_certificate_is_not_stored(board, keys, text, why):
    assert owner.change(board, text or keys[0].read_text()).startswith(why)
    assert board.the_owner_store.data == b""


@pytest.mark.parametrize(
    ("text", "why"), [("?", "the owner's certificate: "), (None, "the owner's key must stay with ")]
)
def test_a_bad_certificate_in_the_board_file(monkeypatch, board, keys, text, why):
    """It is not stored: the board file of the next image would not count."""
    board.OWNER = text or keys[0].read_text()
    bench = NinaBench(monkeypatch, board)
    assert board.the_owner_store.data == b""
    assert bench.stack.dial(PORT) is None
    assert traced()[-1].startswith("update over the network: " + why)
    assert bench.service.updates.told().startswith("it failed, refused: " + why)


def test_a_port_that_is_taken(monkeypatch, board):
    board.the_stack.listen(0, PORT, 1)
    NinaBench(monkeypatch, board)
    assert traced()[-1] == "update over the network: cannot listen, error -8"


# --- the owner


def test_an_update(bench, board, computer):
    code, told = computer.ask(STATUS)
    assert (code, told[0], told[16:].rstrip(b"\0").decode()) == (0, 0, VERSION)
    assert computer.ask(PIECE, 0, IMAGE[:2048]) == (-4, b"")
    assert computer.ask(BEGIN, len(IMAGE), IMAGE[:288]) == (0, b"")
    for at, piece in pieces(IMAGE):
        assert computer.ask(PIECE, at, piece) == (0, b"")
    assert computer.ask(FINISH) == (0, b"")
    assert board.the_slots.calls == ["choose"]
    assert board.the_slots.other.startswith(IMAGE)
    assert computer.ask(RESTART) == (0, b"")
    computer.peer.fin()
    with pytest.raises(Restart):
        bench.passes()


def test_a_restart_does_not_wait_for_ever(bench, computer):
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])
    for at, piece in pieces(IMAGE):
        computer.ask(PIECE, at, piece)
    computer.ask(FINISH)
    computer.ask(RESTART)
    with pytest.raises(Restart):
        bench.later(1000)


def test_what_is_refused_is_told_in_words(bench, board, computer):
    other = image(chip=9)
    assert computer.ask(BEGIN, len(other), other[:288]) == (-14, b"the image is for another chip")
    assert computer.ask(BEGIN, 300, IMAGE[:287]) == (-5, b"")
    assert computer.ask(9) == (-11, b"")
    assert computer.ask(OWNER, 0, b"?")[1].startswith(b"the owner's certificate: ")

    def erase(_at):
        raise OSError(5, "I/O error")

    board.the_slots.erase = erase
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])
    assert computer.ask(PIECE, 0, IMAGE[:2048]) == (-14, b"storage failed, error 5")
    assert bench.service.error.text == b""


def test_the_owner_can_pass_it_on(board, computer, keys):
    assert computer.ask(OWNER, 0, certificate_of(keys[1]).encode()) == (0, b"")
    assert owner.of(board) == certificate_of(keys[1]).encode()


@pytest.mark.parametrize("step", [PIECE, FINISH, RESTART, CANCEL, STATUS, OWNER])
def test_a_step_that_there_is_not(computer, step):
    assert computer.ask(step | 0x80) == (-11, b"")


def test_an_image_gives_way_to_the_next_one_alone(bench, board, computer):
    """A chosen image stays when another is refused, and is gone when another begins to come."""
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])
    for at, piece in pieces(IMAGE):
        computer.ask(PIECE, at, piece)
    computer.ask(FINISH)
    chosen = f"{NEW} starts with the next restart, on trial".encode()
    assert computer.ask(STATUS)[1][48:] == chosen
    assert computer.ask(BEGIN, len(IMAGE), bytes(288)) == (-14, b"this is no image")
    assert computer.ask(STATUS)[1][::48][:1] == b"\2"
    assert computer.ask(STATUS)[1][48:] == chosen
    assert computer.ask(BEGIN, len(IMAGE), IMAGE[:288]) == (0, b"")
    assert board.the_slots.other[:4096] == b"\xff" * 4096
    assert computer.ask(RESTART) == (-4, b"")


def test_no_memory_for_a_step(bench, board, computer, monkeypatch):
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])

    def erase(_at):
        raise MemoryError

    monkeypatch.setattr(board.the_slots, "erase", erase)
    assert computer.ask(PIECE, 0, IMAGE[:2048]) == (-14, b"out of memory")
    monkeypatch.undo()
    assert computer.ask(PIECE, 0, IMAGE[:2048]) == (0, b"")


def test_the_controller_has_all_its_sockets(bench, computer):
    """Eight listeners and eight connections, while the owner's computer is connected."""
    service = bench.service
    assert all(service.listeners.listen(0, 100 + i, 0, 8) for i in range(8))
    assert all(bench.stack.dial(100 + i) for i in range(8))
    bench.passes()
    assert all(slot.state for slot in service.manager.slots)
    assert computer.ask(STATUS)[0] == 0


def test_half_an_image(bench, board, computer):
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])
    computer.ask(PIECE, 0, IMAGE[:2048])
    computer.peer.reset()
    bench.passes()
    assert not bench.service.updates.steps._transfer.arriving()
    assert "not complete" in record.told(board.the_update_store, 0)
    assert nothing_taken(bench)
    assert board.the_slots.calls == []


def test_an_owner_who_falls_silent(bench, computer, keys):
    computer.ask(BEGIN, len(IMAGE), IMAGE[:288])
    bench.later(steps.SILENT_MS - 100)
    computer.ask(PIECE, 0, IMAGE[:2048])
    bench.later(steps.SILENT_MS - 100)
    assert bench.service.tls.sessions() == 1
    bench.later(100)
    assert nothing_taken(bench)
    Computer(bench, keys[0]).shake()


def test_a_step_that_is_too_long(bench, computer):
    computer.ssl.write(struct.pack("<BxHI", PIECE, 2049, 0))
    computer.move()
    bench.passes()
    assert nothing_taken(bench)


def test_steps_that_nobody_reads_the_answers_of(bench, computer):
    """The connection ends before more is kept than fits."""
    computer.peer.freeze()
    for _ in range(400):
        computer.ssl.write(struct.pack("<BxHI", STATUS, 0, 0))
        computer.peer.send(computer._out.read())
        bench.passes(4)
    assert nothing_taken(bench)


def test_a_step_waits_for_the_link(bench, computer, monkeypatch):
    """It is done between two requests; a controller that hangs in one does not prevent it."""
    monkeypatch.setattr(bench.service.port, "idle", lambda: False)
    computer.ssl.write(struct.pack("<BxHI", BEGIN, 288, len(IMAGE)) + IMAGE[:288])
    for _ in range(150):
        computer.move()
    assert bench.service.updates.steps._transfer.size == 0
    for _ in range(60):
        computer.move()
    assert bench.service.updates.steps._transfer.size == len(IMAGE)


def test_the_owner_keeps_an_image_on_trial(monkeypatch, board, thread, keys):
    record.save(board.the_update_store, record.CHOSEN, 0, NEW)
    bench = NinaBench(monkeypatch, board)
    computer = Computer(bench, keys[0])
    bench.later(200)
    computer.shake()
    bench.later(200)
    assert board.the_slots.calls == []
    assert computer.ask(STATUS)[1][0] == 3
    bench.later(200)
    bench.later(200)
    assert board.the_slots.calls == ["keep"]
    assert record.load(board.the_update_store)[0] == record.KEPT


# --- everyone else


def test_a_wrong_key(bench, keys):
    stranger = Computer(bench, keys[1])
    assert stranger.is_refused()
    bench.passes()
    assert nothing_taken(bench)
    assert traced()[-1].startswith("update over the network: TLS: ")
    assert bench.service.updates.told().startswith("port 21328, refused: TLS: ")
    count = trace.TRACE.count()
    bench.later(1000)
    Computer(bench, keys[1]).is_refused()
    assert trace.TRACE.count() == count  # it was told
    bench.later(1000)
    Computer(bench, keys[0]).shake()


def test_the_next_one_waits_after_a_wrong_key(bench, keys):
    Computer(bench, keys[1]).is_refused()
    mine = Computer(bench, keys[0])
    bench.later(900)
    assert mine.peer.received() == b""
    bench.later(100)
    mine.shake()


def test_no_tls(bench, keys):
    peer = bench.stack.dial(PORT)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")
    bench.passes(8)
    assert peer.ended
    assert nothing_taken(bench)


def test_one_who_says_nothing(bench, keys):
    """He has eight seconds, and others wait for their turn."""
    silent = bench.stack.dial(PORT)
    bench.passes()
    mine = Computer(bench, keys[0])
    bench.later(7900)
    assert bench.service.tls.sessions() == 1
    assert silent.ended is None
    bench.later(100)
    bench.later(1000)
    assert silent.ended
    mine.shake()


def test_others_are_turned_away_from_an_owners_update(bench, computer):
    other = bench.stack.dial(PORT)
    bench.passes()
    assert other.ended == "reset"
    assert computer.ask(STATUS)[0] == 0


def test_no_memory_for_a_handshake(bench, keys):
    """He waits for it."""
    bench.service.tls._spare_memory = lambda: _MEMORY - 1
    computer = Computer(bench, keys[0])
    bench.passes()
    assert nothing_taken(bench)
    bench.service.tls._spare_memory = lambda: _MEMORY
    bench.later(1000)
    computer.shake()


def test_nothing_spins(bench, keys):
    """No task asks to be polled at once: while all is idle, for a stranger, a pause, an owner."""

    def at_once():
        bench.passes(8)
        return [task for task in bench.service.loop.tasks if task.poll(bench.now) == 0]

    assert at_once() == []
    bench.service.tls._spare_memory = lambda: _MEMORY - 1
    bench.stack.dial(PORT).reset()
    assert at_once() == []
    bench.service.tls._spare_memory = lambda: _MEMORY
    bench.later(1000)
    bench.later(1000)
    silent = [bench.stack.dial(PORT) for _ in range(2)]
    assert at_once() == []
    bench.later(8000)
    assert at_once() == []
    bench.later(1000)
    assert at_once() == []
    silent[1].reset()
    bench.later(1000)
    mine = Computer(bench, keys[0])
    bench.later(1000)
    mine.shake()
    assert at_once() == []
    assert mine.ask(BEGIN, len(IMAGE), IMAGE[:288]) == (0, b"")
    others = [bench.stack.dial(PORT) for _ in range(2)]
    assert at_once() == []
    assert all(other.ended == "reset" for other in others)
    bench.service.port.idle = lambda: False
    mine.ssl.write(struct.pack("<BxHI", STATUS, 0, 0))
    mine.move()
    assert at_once() == []


# --- beside the link


def test_one_image_at_a_time(bench, computer):
    """The link's is not disturbed, until nothing more comes of it."""
    link = bench.service.updates.steps
    assert link.do(BEGIN, len(IMAGE), memoryview(IMAGE)[:288], steps.LINK) is None
    assert computer.ask(BEGIN, len(IMAGE), IMAGE[:288]) == (-14, b"another image is on its way")
    for step in (PIECE, FINISH, RESTART, CANCEL):
        assert computer.ask(step) == (-4, b"")
    link.do(PIECE, 0, memoryview(IMAGE)[:2048], steps.LINK)
    assert link._transfer.received == 2048
    link.left(steps.NETWORK)
    assert link._transfer.arriving()
    bench.later(steps.SILENT_MS - 1000)
    computer.ask(STATUS)
    assert link._transfer.arriving()
    bench.later(1000)
    assert computer.ask(BEGIN, len(IMAGE), IMAGE[:288]) == (0, b"")
    assert link.answer(PIECE, 2048, steps.LINK) == -4
    assert link.do(BEGIN, len(IMAGE), memoryview(IMAGE)[:288], steps.LINK) is not None
    assert computer.ask(PIECE, 0, IMAGE[:2048]) == (0, b"")
