"""The loop: what one pass does, how long it sleeps, news, housekeeping, boots."""

import pytest
from fake_board import FakeBoard, boot
from fake_pins import MasterRig, SlaveRig
from images import NEW, MemorySlots, Restart
from raw_controller import listen_or_connect, request
from slots import PATIENCE, wait_until

from spinet import fastpath, loop, states
from spinet import garbage as garbage_module
from spinet import service as service_module
from spinet.compat import ticks_add, ticks_diff
from spinet.debug import trace_lines
from spinet.duet.module_clocked import _LEVEL_AFTER_MS
from spinet.duet.personality import NEWS_MS
from spinet.loop import _AGAIN_MS, _HOUSEKEEPING_MS, LinkLost
from spinet.service import Service
from spinet.tcp import callhome
from spinet.tcp.connection import CONNECT_TIMEOUT_MS
from spinet.tcp.manager import _LINGER_DEFAULT, _WRITE_TIMEOUT_MS
from spinet.tcp.stack import EVENT_DATA
from spinet.udp.names import _LOOKUP_MS
from spinet.update import record
from spinet.update.judgment import TRIAL_MS


class Clock:
    """ticks_ms for the service, and the time that its waits were to last."""

    def __init__(self):
        self.now = 5000
        self.sleeps = []

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop, "ticks_ms", clock)
    return clock


def unbooted(rig_class, clock, image=False):
    """A service on a fake board, and its controller; its waits do not sleep. `image`: on trial."""
    board = FakeBoard()
    if image:
        board.the_slots = MemorySlots()
        record.save(board.the_update_store, record.CHOSEN, 0, NEW)
    rig = rig_class(None)
    rig.ticks = clock
    board.the_port = rig.port
    wait = board.the_stack.wait

    def no_sleep(ms):
        clock.sleeps.append(ms)
        return wait(0)

    board.the_stack.wait = no_sleep
    service = Service(board)
    rig.link = service.link
    rig.serve = lambda after_ms=0: service.run_once()
    service.rig = rig
    return service, rig


@pytest.fixture(params=[MasterRig, SlaveRig])
def service(request, clock):
    """A service that has started on a fake board; `rig` is its controller."""
    service, _ = unbooted(request.param, clock)
    boot(service, clock)
    service.run_once()
    return service


def sleep_ms(service, clock):
    """How long the next pass would sleep if nothing happened."""
    service.loop.words[fastpath.LOOP_NOW] = clock.now
    service.loop._poll()
    service.loop._plan(clock.now, service.port.poll(service.link, clock.now))
    return ticks_diff(service.loop.words[fastpath.LOOP_DUE], clock.now)


def ask(service, command, *args, **fields):
    return service.rig.ask(request(command, *args, **fields))


def rises(service):
    return service.rig.trace.count(("data_ready", 1))


@pytest.mark.behaviour("L6")
@pytest.mark.parametrize("rig_class", [MasterRig, SlaveRig])
def test_a_controller_that_polls_data_ready_sees_the_start(clock, rig_class):
    service, rig = unbooted(rig_class, clock)
    began = clock.now
    seen = boot(service, clock, rig.data_ready)
    assert [level for level, _ in seen] == [0, 1, 0, 1]
    assert all(ms >= 20 for _, ms in seen[:3])
    assert clock.now - began < NEWS_MS
    assert max(clock.sleeps) <= max(ms for _, ms in seen)


@pytest.mark.behaviour("L6")
def test_a_request_within_the_start_waits_for_its_end(clock):
    service, rig = unbooted(MasterRig, clock)
    service.start()
    while rig.data_ready.value() == 0:
        clock.now += 1
        service.run_once()
    rig.expect(request(9))
    rig.transfer_ready.drive(1)
    while not service.port.idle():
        assert rig.spi.phases == []
        clock.now += 1
        service.run_once()
    clock.now += _LEVEL_AFTER_MS
    service.loop.run(2)
    assert rig.decode(rig.spi.shifted)[2] == 168


@pytest.mark.parametrize("rig_class", [MasterRig, SlaveRig])
def test_news_within_the_start_is_no_edge_of_it(clock, rig_class):
    service, _ = unbooted(rig_class, clock)
    service.start()
    service.error.set("news")
    service.personality.news._told = ticks_add(clock.now, -NEWS_MS)
    service.run_once()
    assert rises(service) == 0


@pytest.mark.parametrize("rig_class", [MasterRig, SlaveRig])
def test_a_new_image_is_kept_by_the_first_transaction(clock, rig_class):
    service, _ = unbooted(rig_class, clock, image=True)
    boot(service, clock)
    slots = service.board.the_slots
    clock.now += 1000
    service.run_once()
    assert slots.calls == []
    ask(service, 0)
    clock.now += 1000
    service.loop.run(3)
    assert slots.calls == ["keep"]
    assert service.board.the_update_store.data.startswith(b"K")


def test_a_new_image_that_is_asked_for_nothing(clock):
    service, _ = unbooted(MasterRig, clock, image=True)
    boot(service, clock)
    clock.now += TRIAL_MS
    with pytest.raises(Restart):
        service.run_once()


def test_boot_signals_and_serves(service):
    assert rises(service) == 2
    assert ask(service, 9)[0] == 168


def test_one_pass_takes_an_event_and_its_request(service):
    ask(service, 7, data=listen_or_connect(80))
    peer = service.stack.dial(80)
    assert ask(service, 6, 0)[1][0] == states.CONNECTED
    peer.send(b"hello")
    assert ask(service, 4, 0) == (5, b"hello")


def test_an_event_of_what_has_no_owner_ends_one_wait(service):
    stack = service.stack
    stack.servers[4000] = None
    handle = stack.connect(0x0100007F, 4000)
    for _ in range(2):
        stack.note(handle, EVENT_DATA)
        service.run_once()
        assert not stack.pending()


def test_freed_slot_is_given_to_who_waits(service):
    ask(service, 7, data=listen_or_connect(80, limit=1))
    service.stack.dial(80)
    service.run_once()
    service.stack.dial(80)
    service.run_once()
    assert service.manager.rows[fastpath.ROW_CONNECTED] == 1
    ask(service, 1, 0)
    service.run_once()
    service.run_once()
    assert service.manager.rows[fastpath.ROW_CONNECTED] != 0


def test_sleep_is_bounded_by_what_comes_next(service, clock):
    service.run_once()
    idle = clock.sleeps[-1]
    assert 0 < idle <= _HOUSEKEEPING_MS
    service.error.set("news")
    service.run_once()
    assert clock.sleeps[-1] <= NEWS_MS
    service.wlan.scan(0)
    service.run_once()
    assert clock.sleeps[-1] <= _AGAIN_MS


class Heap:
    """`gc` of a VM: what is allocated, and in which pass it was collected."""

    def __init__(self):
        self.used = 80000
        self.collected = 0
        self.asked = 0

    def mem_alloc(self):
        self.asked += 1
        return self.used

    def collect(self):
        self.collected += 1
        self.used = 80000


@pytest.fixture
def heap(service, clock, monkeypatch):
    """A heap whose use after a collection is known; a pass of housekeeping each second."""
    heap = Heap()
    monkeypatch.setattr(garbage_module, "gc", heap)
    monkeypatch.setattr(service_module.compat, "heap_used", heap.mem_alloc)
    second(service, clock)
    return heap


def second(service, clock):
    clock.now += _HOUSEKEEPING_MS
    service.run_once()


def test_garbage_is_collected_in_a_pass_of_its_own(service, clock, heap):
    heap.used += garbage_module._GARBAGE - 1
    second(service, clock)
    service.run_once()
    assert heap.collected == 0
    heap.used += 1
    second(service, clock)
    assert heap.collected == 0  # to ask was enough for that pass
    feeds, asked = service.board.feeds, heap.asked
    clock.now += 5
    service.port.idle = lambda: True
    service.run_once()
    assert heap.collected == 1
    assert (service.board.feeds, heap.asked) == (feeds, asked)
    service.run_once()
    assert (heap.collected, heap.asked) == (1, asked + 1)  # counting begins anew


def test_counting_begins_anew_at_once(service, clock, heap):
    heap.used += garbage_module._GARBAGE
    second(service, clock)
    service.port.idle = lambda: True
    clock.now += 5  # the time of something else
    service.port.poll = lambda _link, _now: 5
    asked = heap.asked
    service.loop.run(2)  # collect, and in the next pass, with the clock where it was, ask
    assert (heap.collected, heap.asked) == (1, asked + 1)


def test_a_request_or_an_event_comes_before_a_collection(service, clock, heap):
    ask(service, 7, data=listen_or_connect(80))
    heap.used += garbage_module._GARBAGE
    second(service, clock)
    service.stack.dial(80)
    service.run_once()
    assert service.manager.rows[fastpath.ROW_CONNECTED] == 1
    assert heap.collected == 0


@pytest.mark.parametrize("garbage", [garbage_module._GARBAGE, garbage_module.HEADROOM])
def test_a_link_that_is_never_idle_puts_a_collection_off_until_headroom_is_used_up(
    service, clock, heap, garbage
):
    service.port.idle = lambda: False
    heap.used += garbage
    second(service, clock)
    for _ in range(5):
        clock.now += 20
        service.run_once()
    assert heap.collected == (garbage == garbage_module.HEADROOM)


@pytest.mark.parametrize("source", ["commands", "datagrams", "handshakes"])
def test_headroom_is_kept_however_fast_garbage_comes(service, clock, heap, source):
    """The clock stands still, and each pass has something to do."""
    service.port.idle = lambda: False
    most = 0
    asked = heap.asked
    for _ in range(200):
        heap.used += garbage_module.LITTLE
        if source == "commands":
            ask(service, 9)
        elif source == "datagrams":
            service.discovery.note_due()
            service.run_once()
        else:
            service.garbage.spend(garbage_module.MUCH)
            service.bell.stir()
            service.run_once()
        most = max(most, heap.used - 80000)
    assert most <= garbage_module.HEADROOM + garbage_module.LITTLE
    assert 1 <= heap.collected <= 8  # but not needlessly
    # Each walks through the heap; there is never more than one in a pass.
    assert heap.asked - asked <= (40 if source == "commands" else 200)


def test_garbage_is_collected_soon_after_the_link_is_idle(service, clock, heap):
    service.port.idle = lambda: False
    heap.used += garbage_module._GARBAGE
    second(service, clock)
    service.run_once()
    assert clock.sleeps[-1] <= _AGAIN_MS


def test_sleep_ends_when_a_handshake_has_taken_too_long(service, clock):
    service.tls.poll = lambda _now: 3
    service.loop.bind()
    service.run_once()
    assert clock.sleeps[-1] == 3


def test_lines_of_the_trace_follow_each_other_without_a_wait(service, clock):
    service.run_once()
    assert clock.sleeps[-1] > 0
    ask(service, 20)
    service.run_once()
    service.run_once()
    assert clock.sleeps[-2:] == [0, 0]
    wait_until(lambda: clock.sleeps[-1] > 0, service.run_once)


def test_close_is_watched_closely(service, clock):
    ask(service, 7, data=listen_or_connect(80))
    peer = service.stack.dial(80)
    service.run_once()
    peer.freeze()
    ask(service, 5, 0, flags=1, data=b"bye")
    service.run_once()
    assert clock.sleeps[-1] <= 10


def test_close_is_watched_closely_after_somebody_had_more_time(service, clock):
    service.port.poll = lambda _link, _now: -1
    ask(service, 7, data=listen_or_connect(80))
    peer = service.stack.dial(80)
    service.run_once()
    peer.freeze()
    service.stack.servers[90] = None
    assert ask(service, 3, data=listen_or_connect(90, 0x0100007F))[0] == 1
    ask(service, 1, 1)  # connecting had eight seconds
    service.manager._watched_at = clock.now  # nor is anything else looked at meanwhile
    ask(service, 5, 0, flags=1, data=b"bye")
    assert sleep_ms(service, clock) <= 10


@pytest.mark.parametrize(("link_due", "expected"), [(-1, 50), (10, 10), (80, 50)])
def test_tls_ends_sleep_in_time(service, clock, link_due, expected):
    service.run_once()
    replace_task(service, service.tls, Busy())
    service.port.poll = lambda _link, _now: link_due
    assert sleep_ms(service, clock) == expected


def test_a_backlog_that_is_not_done_with_puts_an_end_to_sleep(service, clock):
    service.listeners.unfinished = True
    assert sleep_ms(service, clock) == 0


def test_news_is_repeated_until_it_is_fetched(service, clock):
    service.error.set("news")
    before = rises(service)
    for step in range(1, 4):
        clock.now += NEWS_MS
        service.run_once()
        service.run_once()
        assert rises(service) == before + step
    ask(service, 19)
    before = rises(service)
    clock.now += 10 * NEWS_MS
    service.run_once()
    assert rises(service) == before


def test_news_is_not_told_more_often_than_every_200_ms(service, clock):
    service.error.set("news")
    clock.now += NEWS_MS
    service.run_once()
    before = rises(service)
    clock.now += NEWS_MS - 1
    service.run_once()
    assert rises(service) == before
    assert NEWS_MS == 200


def a_week_passes(service, clock):
    """So long that a time noted at its beginning seems to lie in the future: ticks wrap."""
    for _ in range(3):
        clock.now = ticks_add(clock.now, 1 << 28)
        service.run_once()


def test_news_after_a_week_without_any_is_told(service, clock):
    a_week_passes(service, clock)
    before = rises(service)
    service.error.set("news")
    service.run_once()
    service.run_once()
    assert rises(service) == before + 1


@pytest.mark.behaviour("T4")
def test_a_silent_peer_is_given_up_after_a_week_in_which_nobody_wrote(service, clock):
    ask(service, 7, data=listen_or_connect(80))
    peer = service.stack.dial(80)
    service.run_once()
    a_week_passes(service, clock)
    peer.freeze()
    assert ask(service, 5, 0, flags=2, data=b"are you there?")[0] == 14
    for _ in range(_WRITE_TIMEOUT_MS // _HOUSEKEEPING_MS + 2):
        clock.now = ticks_add(clock.now, _HOUSEKEEPING_MS)
        service.run_once()
    assert service.manager.write_timeouts == 1


# --- what has nothing to do with the slots is looked at when something may have changed it


class Busy:
    """A task with something to do every 50 ms."""

    def __init__(self):
        self.polls = 0

    def poll(self, _now):
        self.polls += 1
        return 50


def replace_task(service, task, other):
    """From the next time on that the tasks are polled."""
    tasks = service.loop.tasks
    assert task in tasks
    service.loop.tasks = tuple(other if each is task else each for each in tasks)


def run_with(service, *hooks):
    """One run; in each pass a peer connects, and then that happens. The clock stands still."""
    left = list(hooks)

    def wait(ms):
        service.stack.dial(80)
        left.pop(0)()
        return 1

    service.listeners.listen(0, 80, 0, 8)
    service.run_once()  # it is announced
    service.stack.wait = wait
    service.loop.bind()
    service.loop.run(len(hooks))


def far_ms(service, clock):
    return ticks_diff(service.loop.words[fastpath.LOOP_FAR], clock.now)


def nothing():
    pass


def test_connections_bring_nothing_else_forward(service, clock):
    looked = []

    def watch():
        service.loop._poll = looked.append

    service.error.set("told already")
    ask(service, 19)
    run_with(service, watch, nothing, nothing)
    assert bin(service.manager.rows[fastpath.ROW_CONNECTED]).count("1") == 3
    assert looked == []
    assert 0 < far_ms(service, clock) <= _HOUSEKEEPING_MS


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        (lambda service: service.error.set("news"), NEWS_MS),
        (lambda service: service.wlan.set_state(states.WIFI_CONNECTING), NEWS_MS),
        (lambda service: service.wlan.scan(0), _AGAIN_MS),
        (lambda service: service.wlan.station.start(b"", 0), _AGAIN_MS),
    ],
    ids=["error", "state", "scan", "client"],
)
def test_what_changes_in_wifi_is_looked_at_in_that_pass(service, clock, what, limit):
    run_with(service, nothing, lambda: what(service))
    assert far_ms(service, clock) <= limit
    assert service.link.tx[1] == service.wlan.state


@pytest.mark.parametrize("what", ["names", "sessions", "discovery"])
def test_who_has_something_to_do_does_it_in_that_pass(service, clock, what):
    busy = Busy()
    replace_task(service, getattr(service, what), busy)
    polls = []

    def stir():
        polls.append(busy.polls)
        service.bell.stir()

    run_with(service, nothing, stir)
    assert busy.polls == polls[0] + 1
    assert far_ms(service, clock) <= 50


@pytest.mark.behaviour("C2")
@pytest.mark.parametrize(
    ("what", "who"),
    [
        ("tls", lambda service: service.tls.bell.rouse),  # that of the handshakes
        ("discovery", lambda service: service.discovery.note_due),  # a datagram came
    ],
)
def test_what_came_within_a_wait_is_looked_at_in_that_pass(service, what, who):
    """And not when something else happens, which on a quiet link takes a second."""
    busy = Busy()
    hooks = [nothing, who(service)]
    replace_task(service, getattr(service, what), busy)
    service.stack.wait = lambda ms: hooks.pop(0)()
    service.loop.bind()
    service.loop.run(2)
    assert busy.polls == 1


def test_what_there_is_to_tell_is_told_in_the_passes_that_follow(service):
    steps = iter([True, True, True])

    def begin():
        service.telling._steps = steps
        service.bell.stir()

    run_with(service, begin, nothing, nothing)
    assert next(steps, None) is None


@pytest.mark.behaviour("L3")
def test_diagnostics_keep_no_request_waiting_for_the_uart(service, capsys):
    """Of 115200 baud, which take 11 bytes a ms; a controller waits for 100."""
    ask(service, 7, data=listen_or_connect(80))
    for _ in range(8):
        service.stack.dial(80)
        service.run_once()
    ask(service, 20)
    printed = [capsys.readouterr().out]
    while service.telling.poll(0) >= 0:
        printed.append(capsys.readouterr().out)
    assert max(map(len, printed)) < 900
    whole = "".join(printed)
    assert len(whole.partition("~trace begin")[0]) > 1000
    assert "7 connected" in whole
    assert "heap free" in whole
    assert "~trace end" in whole


def test_report_that_there_is_no_memory_for_ends_and_the_loop_goes_on(service, capsys, monkeypatch):
    monkeypatch.setattr(trace_lines, "Snapshot", no_memory)
    ask(service, 20)
    while service.telling._steps:
        service.run_once()
    printed = capsys.readouterr().out
    assert "heap free" in printed
    assert "~trace" not in printed
    assert service.board.said[-1] == "no memory for the rest of the report"
    assert ask(service, 0)[0] == 0


def no_memory(*_):
    raise MemoryError


@pytest.mark.behaviour("M2")
@pytest.mark.parametrize("part", ["names", "sessions", "wlan", "discovery"])
def test_a_part_that_has_no_memory_is_told_and_tries_again(service, clock, monkeypatch, part):
    done = []
    part = getattr(service, part)
    with monkeypatch.context() as full:
        full.setattr(type(part), "poll", no_memory)
        service.bell.stir()
        service.run_once()
    assert service.error.text == b"out of memory"
    assert service.commands.shortages >= 1
    monkeypatch.setattr(type(part), "poll", lambda _part, now: done.append(now) or -1)
    clock.now += _AGAIN_MS
    service.run_once()
    assert done


@pytest.mark.behaviour("M2")
def test_housekeeping_that_has_no_memory_feeds_the_watchdog(service, clock, monkeypatch):
    monkeypatch.setattr(service.wlan, "refresh", no_memory)
    fed = service.board.feeds
    second(service, clock)
    assert service.board.feeds == fed + 1
    assert service.error.text == b"out of memory"


def test_news_wait_for_the_end_of_a_transaction(service, clock):
    clock.now += NEWS_MS
    before = rises(service)
    idle = service.port.idle
    service.port.idle = lambda: False
    run_with(
        service,
        lambda: service.error.set("news"),
        lambda: setattr(service.port, "idle", idle),
    )
    assert rises(service) == before + 1


def test_housekeeping_feeds_and_refreshes(service, clock):
    feeds = service.board.feeds
    clock.now += _HOUSEKEEPING_MS
    service.run_once()
    service.run_once()
    assert service.board.feeds == feeds + 1


def test_shut_gives_everything_back(service):
    ask(service, 7, data=listen_or_connect(80))
    peer = service.stack.dial(80)
    service.run_once()
    service.shut()
    assert peer.ended == "reset"
    assert service.stack.open_handles() == []


# --- calling home, and names


def test_calling_home_wakes_the_loop_for_its_next_attempt(service, clock):
    service.run_once()
    assert ask(service, 7, flags=8, data=listen_or_connect(80, 0x0100007F, limit=1)) == (0, b"")
    service.run_once()
    service.run_once()
    assert service.sessions.entries[0].counts[callhome._RECONNECT_FAILED] == 1
    clock.now += 600
    service.run_once()
    assert sleep_ms(service, clock) <= callhome._FIRST_MS - 600
    service.stack.servers[80] = []
    clock.now += callhome._FIRST_MS - 600
    service.run_once()
    service.run_once()
    assert ask(service, 6, 0)[1][0] == states.CONNECTED


def test_a_promise_that_is_given_back_is_somebody_elses_at_once(service, clock):
    service.stack.servers[90] = None
    ask(service, 7, data=listen_or_connect(80))
    for _ in range(7):
        service.stack.dial(80)
        service.run_once()
    ask(service, 7, flags=8, data=listen_or_connect(90, 0x0100007F, limit=1))
    service.run_once()
    service.stack.dial(80)
    service.run_once()
    assert bin(service.manager.rows[fastpath.ROW_CONNECTED]).count("1") == 7
    clock.now += CONNECT_TIMEOUT_MS
    service.run_once()
    assert sleep_ms(service, clock) == 0
    service.run_once()
    assert bin(service.manager.rows[fastpath.ROW_CONNECTED]).count("1") == 8


def test_a_name_is_looked_up_beside_the_loop(service, clock):
    service.board.the_radio.servers = (0, 0)
    ask(service, 3, data=listen_or_connect(80) + b"nobody.example")
    wait_until(lambda: ask(service, 6, 0)[1][0] == states.ABORTED, service.run_once)
    assert ask(service, 19)[1] == b"host not found: nobody.example\0"


def test_the_loop_wakes_for_a_name_that_takes_too_long(service, clock):
    ask(service, 3, data=listen_or_connect(80) + b"slow.example")
    assert 0 < sleep_ms(service, clock) <= 1000
    clock.now += _LOOKUP_MS - 10
    service.run_once()
    assert ask(service, 6, 0)[1][0] == states.CONNECTING
    assert sleep_ms(service, clock) <= 10
    clock.now += 10
    service.run_once()
    assert ask(service, 6, 0)[1][0] == states.ABORTED


def test_the_end_of_the_service_forgets_names(service):
    ask(service, 3, data=listen_or_connect(80) + b"slow.example")
    service.run_once()
    assert any(service.stack.udp._ports)
    service.shut()
    assert service.names.asked == []
    assert not any(service.stack.udp._ports)


# --- boots


class Boots(FakeBoard):
    """A board whose link is lost `lives` times; then there is nothing to boot."""

    def __init__(self, lives, error):
        super().__init__()
        self.lives = lives
        self.error = error
        self.is_crashed = False

    def power_up(self, wanted):
        assert wanted()
        self.lives -= 1
        self.the_port = self
        return self.lives >= 0

    def start(self, _now):
        raise self.error

    def stop(self):
        self.said.append("port stopped")

    def set_clock(self, _frequency):
        """No clock here."""

    def crashed(self):
        self.is_crashed = True


def run_to_its_end(board):
    """Start the thread and wait until it has ended by itself."""
    service_module.start(board)
    assert service_module._ended.acquire(timeout=PATIENCE)
    service_module._ended.release()


def test_every_lost_link_is_said_and_followed_by_a_boot():
    board = Boots(3, LinkLost("power is off"))
    run_to_its_end(board)
    assert board.said == ["port stopped", "power is off"] * 3
    assert not service_module.running()
    assert service_module.current is None
    assert not board.is_crashed


@pytest.mark.behaviour("T3", "T4")
def test_settings_are_made_again_at_every_boot(monkeypatch):
    lingers = []

    def settings(service):
        lingers.append(service.manager.linger_s)
        service.manager.linger_s = 5

    monkeypatch.setattr(service_module, "on_boot", settings)
    run_to_its_end(Boots(2, LinkLost("power is off")))
    assert lingers == [_LINGER_DEFAULT, _LINGER_DEFAULT]


def test_a_bug_is_shown_and_the_board_decides(capsys):
    board = Boots(1, RuntimeError("a bug"))
    run_to_its_end(board)
    assert board.is_crashed
    assert "a bug" in capsys.readouterr().err
    assert not service_module.running()


def test_stop_when_nothing_runs():
    service_module.stop()
    assert not service_module.running()
