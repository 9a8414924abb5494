"""The module-clocked role's core: n bytes at an offset, polled when short, never a copy."""

import threading

import pytest
from core_rig import INVALID_ARG, INVALID_SIZE, INVALID_STATE, NO_MEM, NOT_SUPPORTED, OK, SIZE

pytestmark = pytest.mark.behaviour("L4")


@pytest.fixture
def exchange(chip):
    """Started, with a controller whose message is 255, 254, ...; tx holds 0, 1, 2, ..."""
    assert chip.start_exchange() == OK
    chip.tx[:] = bytes(i & 0xFF for i in range(SIZE))
    expect(chip)
    return chip


def expect(chip):
    message = bytes(255 - i & 0xFF for i in range(SIZE))
    chip.c.fake_controller_message(message, len(message))
    return message


def test_phases_of_a_transaction_in_their_order(exchange):
    message = expect(exchange)
    for offset, n in ((0, 8), (8, 4), (12, 2048)):
        assert exchange.c.exchange_run(offset, n) == OK
    assert bytes(exchange.rx) == message
    assert exchange.received(SIZE) == bytes(exchange.tx)


@pytest.mark.parametrize(("n", "polled"), [(4, True), (64, True), (68, False), (2048, False)])
def test_short_ones_are_polled(exchange, n, polled):
    assert exchange.c.exchange_run(12, n) == OK
    assert exchange.transfers() == [-n if polled else n]


def test_nothing_beyond_n_is_touched(exchange):
    assert exchange.c.exchange_run(12, 20) == OK
    assert not any(exchange.rx[:12])
    assert not any(exchange.rx[32:])


def test_no_transfer_takes_memory(exchange):
    exchange.c.fake_run_out_at(1)
    for n in (4, 64, 68, 2048):
        assert exchange.c.exchange_run(12, n) == OK


@pytest.mark.parametrize(
    ("offset", "n"), [(0, 0), (0, -4), (-4, 8), (0, 6), (2, 4), (SIZE, 4), (12, 2052)]
)
def test_what_is_no_phase_is_refused(exchange, offset, n):
    assert exchange.c.exchange_run(offset, n) == INVALID_ARG
    assert exchange.transfers() == []


def test_clock(exchange):
    assert exchange.c.fake_frequency() == 26666667
    assert exchange.c.exchange_set_clock(40000000) == OK
    assert exchange.c.fake_frequency() == 40000000
    exchange.c.fake_run_out_at(1)
    assert exchange.c.exchange_set_clock(40000000) == OK, "the same again changes nothing"
    exchange.c.fake_run_out_at(0)
    assert exchange.c.exchange_run(0, 8) == OK


@pytest.mark.parametrize(
    ("frequency", "error"),
    [(40000000, NOT_SUPPORTED), (100000000, INVALID_ARG), (0, INVALID_ARG)],
)
def test_frequency_that_the_driver_refuses_leaves_the_last_one(exchange, frequency, error):
    exchange.c.fake_limit_frequency(30000000)
    assert exchange.c.exchange_set_clock(frequency) == error
    assert exchange.c.fake_frequency() == 26666667
    assert exchange.c.exchange_run(0, 8) == OK


def test_stopped_when_not_even_the_last_frequency_is_to_be_had(exchange):
    exchange.c.fake_limit_frequency(1000)
    assert exchange.c.exchange_set_clock(40000000) == NOT_SUPPORTED
    assert exchange.c.exchange_run(0, 8) == INVALID_STATE
    assert exchange.c.fake_things_held() == 0


# --- starting and stopping


def test_restart(exchange):
    buffers = exchange.c.message_tx(), exchange.c.message_rx()
    assert exchange.start_exchange(frequency=20000000, host=2) == OK
    assert exchange.c.fake_things_held() == 2, "one SPI and one device"
    assert exchange.c.fake_frequency() == 20000000
    assert (exchange.c.message_tx(), exchange.c.message_rx()) == buffers
    exchange.c.exchange_stop()
    exchange.c.exchange_stop()
    assert exchange.c.fake_things_held() == 0
    assert exchange.c.exchange_run(0, 8) == INVALID_STATE
    assert exchange.c.exchange_set_clock(20000000) == INVALID_STATE
    assert exchange.start_exchange() == OK


def test_stop_while_a_thread_sleeps_in_a_transfer(exchange):
    # A soft reset ends Python's threads wherever they are, then runs the finalisers.
    exchange.c.fake_let_sleep(True)
    sleeper = threading.Thread(target=exchange.c.exchange_run, args=(12, 2048))
    sleeper.start()
    exchange.c.fake_await_sleeper()
    exchange.c.exchange_stop()
    held = exchange.c.fake_things_held()
    restarted = exchange.start_exchange()
    exchange.c.exchange_stop()  # and now there is no result to wait for
    exchange.c.fake_let_sleep(False)
    sleeper.join()
    assert held == 0
    assert restarted == OK


@pytest.mark.parametrize("at", range(1, 6))
def test_out_of_memory_at_start(chip, at):
    chip.c.fake_run_out_at(at)
    error = chip.start_exchange()
    chip.c.fake_run_out_at(0)
    assert error == (NO_MEM if at <= 4 else OK)
    if error:
        assert chip.c.fake_things_held() == 0
        assert chip.c.exchange_run(0, 8) == INVALID_STATE
        assert chip.start_exchange() == OK
    assert chip.c.fake_blocks() == 2


@pytest.mark.parametrize("wrong", [{"host": 0}, {"host": 3}, {"sck": -1}, {"frequency": 0}])
def test_what_the_driver_refuses_at_start(chip, wrong):
    assert chip.start_exchange(**wrong) == INVALID_ARG
    assert chip.c.fake_things_held() == 0
    assert chip.start_exchange() == OK


def test_size_of_the_buffers_is_dwords(chip):
    assert chip.start_exchange(size=10) == INVALID_SIZE
