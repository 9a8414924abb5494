"""`make bench`'s tools: what they compute, their peers, their picture, and how they end."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from project import ROOT
from raw_controller import PATIENCE
from sim_process import BINARY, is_running

sys.path[:0] = [str(ROOT), str(ROOT / "tools")]
WITH_TOOLS = os.environ | {"PYTHONPATH": f"{ROOT / 'tools'}:{ROOT / 'host_tests/support'}"}

from bench import peers as bench_peers  # noqa: E402 -- found through the path above
from bench import plot as bench_plot  # noqa: E402
from bench import ready as bench_ready  # noqa: E402
from bench import sim as bench_sim  # noqa: E402

# -- figures ----------------------------------------------------------------------------


def test_the_bus_is_busy_for_the_bytes_that_were_clocked():
    row = bench_sim.transfer_row(2_000_000, 2.0, (1_000, 2_500_000), 20_000_000)
    assert row == {"bytesPerSecond": 1_000_000, "transactionsPerKB": 0.5, "busy": 0.5}


def test_without_a_clock_nobody_knows_how_busy_the_bus_is():
    row = bench_sim.transfer_row(1_000_000, 1.0, (500, 1_100_000), None)
    assert row["busy"] is None
    line = bench_sim.rate_line(row | {"way": "up", "sockets": 4, "sckHz": None})
    assert "no clock" in line
    assert "busy" not in line


def test_a_bus_that_was_never_busy_is_told():
    row = bench_sim.transfer_row(1_000_000, 1.0, (500, 0), 1_000_000)
    assert "busy 0%" in bench_sim.rate_line(row | {"way": "up", "sockets": 1, "sckHz": 1e6})


def test_the_fastest_round_counts():
    rows = [{"bytesPerSecond": rate} for rate in (1, 3, 2)]
    assert bench_sim.fastest(rows) == {"bytesPerSecond": 3}


def test_median_and_tail_of_what_bytes_waited():
    sent = [0.0] * 100
    came = [n / 100 for n in range(100)]
    assert bench_sim.waits(sent, came) == (pytest.approx(0.495), 0.99)


def test_a_byte_that_never_came_is_no_figure():
    with pytest.raises(ValueError, match="shorter"):
        bench_sim.waits([0.0, 1.0], [0.5])


@pytest.mark.parametrize(("transactions", "data"), [(976, 2048), (2000, 1000), (500, 2048)])
def test_the_mean_data_phase_of_an_echo(transactions, data):
    assert bench_sim.data_bytes(transactions) == pytest.approx(data, abs=2)


def test_cpu_of_all_threads_is_counted_finer_than_a_tick():
    def spin():
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        spun.wait()
        counted.wait()

    spun, counted = threading.Barrier(2), threading.Event()
    thread = threading.Thread(target=spin)
    before, own = bench_sim.cpu_seconds(os.getpid()), time.process_time()
    thread.start()
    spun.wait()
    spent, known = bench_sim.cpu_seconds(os.getpid()) - before, time.process_time() - own
    counted.set()
    thread.join()
    assert known >= 0.1
    assert spent == pytest.approx(known, abs=0.02)


@pytest.mark.parametrize("line", [b"", b'{"failed": "the process ended"}'])
def test_peers_that_failed_are_told(line):
    with pytest.raises(bench_sim.Failed, match="peers: the process ended"):
        bench_sim.findings(line)


# -- peers ------------------------------------------------------------------------------


class Served:
    """A server of blocking sockets; each connection is handed to `handle`, in a thread."""

    def __init__(self, handle):
        self._handle = handle
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self.port

    def __exit__(self, *_):
        self.server.close()

    def _serve(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        with sock:
            self._handle(sock)


def giving(count):
    return lambda sock: sock.sendall(bytes(count))


def echoing(sock):
    while data := sock.recv(4096):
        sock.sendall(data)


def draining(sock):
    while sock.recv(4096):
        pass


@pytest.mark.parametrize(("count", "sockets", "found"), [(9, 4, [3, 2, 2, 2]), (5, 1, [5])])
def test_bytes_are_shared_among_sockets(count, sockets, found):
    assert bench_peers.shares(count, sockets) == found


def test_peers_take_what_is_given():
    with Served(giving(40_000)) as port:
        assert bench_peers.timed(bench_peers.take, port, 3, 120_000)["seconds"] > 0


@pytest.mark.parametrize("given", [39_999, 40_001])
def test_peers_see_when_it_is_not_what_was_to_come(given):
    with Served(giving(given)) as port, pytest.raises((bench_peers.Short, ConnectionError)):
        bench_peers.take(port, 40_000)


def test_peers_give_and_wait_for_the_end():
    took = []

    def count(sock):
        took.append(sum(iter(lambda: len(sock.recv(4096)), 0)))

    with Served(count) as port:
        bench_peers.give(port, 50_000)
    assert took == [50_000]


def test_peers_take_back_what_they_give():
    with Served(echoing) as port:
        bench_peers.echo(port, 300_000)


def test_bytes_are_sent_one_by_one(monkeypatch):
    monkeypatch.setattr(bench_peers, "LONGEST_PAUSE_S", 0)
    with Served(echoing) as port:
        sent = bench_peers.ping(port, 1, 20)["sent"]
    assert len(sent) == 20
    assert sent == sorted(sent)


def test_peers_do_nothing_before_they_are_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert bench_peers.main(["take", "1", "1", "1"]) == 1
    assert capsys.readouterr().out == "ready\n"


def test_peers_tell_what_went_wrong_as_their_finding():
    command = [sys.executable, str(ROOT / "bench/peers.py"), "take", "1", "1", "1"]
    done = subprocess.run(
        command, input="go\n", capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "refused" in json.loads(done.stdout.splitlines()[1])["failed"]
    assert done.stderr == ""


# -- the bus alone ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def bus_alone(tmp_path_factory):
    """The program, compiled with every warning."""
    program = tmp_path_factory.mktemp("bus") / "bus_alone"
    warnings = ("-Wall", "-Wextra", "-Werror")
    subprocess.run(["gcc", *warnings, "-O2", "-o", program, ROOT / "bench/bus_alone.c"], check=True)
    return program


def test_the_bus_alone_costs_something_for_each_transaction(bus_alone):
    done = subprocess.run(
        [bus_alone, "2000", "2048"], capture_output=True, timeout=PATIENCE, check=True
    )
    assert float(done.stdout) > 0


@pytest.mark.parametrize("arguments", [[], ["0", "1"], ["1", "2049"], ["1", "-1"]])
def test_the_bus_alone_says_how_it_is_used(bus_alone, arguments):
    done = subprocess.run(
        [bus_alone, *arguments], capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"usage:")


def test_what_does_not_compile_is_told(tmp_path):
    source = tmp_path / "wrong.c"
    source.write_text("int main(void) { return }\n")
    with pytest.raises(bench_sim.Failed, match=r"wrong\.c does not compile"):
        bench_sim.compiled(source, tmp_path)


# -- with SIM ---------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_transfer_is_counted(way):
    row = asyncio.run(bench_sim.transfer(str(BINARY), way, 2, 200_000, 26_670_000))
    assert row["bytesPerSecond"] > 0
    assert row["transactionsPerKB"] >= 1 / 2.048
    least = 200_000 * 8 / 26_670_000 * row["bytesPerSecond"] / 200_000
    assert least < row["busy"] <= 1


def test_an_echo_is_counted():
    cost, transactions = asyncio.run(bench_sim.module_echo(str(BINARY), 100_000))
    assert cost > 0
    assert transactions >= 2000 / 2.048


def children(pid):
    """The processes that a process has started and that are there."""
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_leaves_nothing():
    command = [sys.executable, str(ROOT / "bench/sim.py"), str(BINARY), "1000000"]
    pipe = subprocess.PIPE
    bench = subprocess.Popen(command, env=WITH_TOOLS, stdout=pipe, stderr=pipe)
    try:
        wait_until(lambda: len(children(bench.pid)) == 3)  # SIM, and both runs' peers
        started = children(bench.pid)
        bench.send_signal(signal.SIGINT)
        out, err = bench.communicate(timeout=PATIENCE)
    finally:
        bench.kill()
    assert (bench.returncode, out, err) == (130, b"", b"")
    assert not [pid for pid in started if is_running(pid)]


def test_a_module_that_does_not_start_is_one_line(monkeypatch):
    monkeypatch.setattr(bench_sim, "BOOT_S", 10 * PATIENCE)  # its end is enough
    start = bench_sim.module_echo("/bin/false", 1)
    with pytest.raises(bench_sim.Failed, match=r"did not start \(its process: 1\)"):
        asyncio.run(asyncio.wait_for(start, PATIENCE))


def test_a_module_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_sim, "BOOT_S", 0.2)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec cat\n")
    silent.chmod(0o755)
    with pytest.raises(bench_sim.Failed, match=r"did not start \(its process: None\)"):
        asyncio.run(bench_sim.module_echo(str(silent), 1))


# -- READY ------------------------------------------------------------------------------


def test_percentiles_are_values_that_were_measured():
    found = bench_ready.percentiles([0.001 * n for n in range(20_000, 0, -1)])
    assert list(found.values()) == [10, 19.8, 19.98, 19.998, 20]
    assert bench_ready.line("", [1] * 7 + [5, 6]).endswith("p100 6.000 ms; 1 above 5 ms")


def test_ready_is_measured_beside_a_busy_repl():
    command = [sys.executable, str(ROOT / "bench/ready.py"), str(BINARY), "200"]
    done = subprocess.run(
        command, env=WITH_TOOLS, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    first, *lines = done.stdout.splitlines()
    assert "200 selections" in first
    assert [text.split("p50")[0].strip() for text in lines] == [
        "as the controller sees it",
        "less waiting for a processor",
    ]


# -- the picture ------------------------------------------------------------------------

SVG = "{http://www.w3.org/2000/svg}"
CORE = {"instructions": {bench_plot.PAIR: 13_000}}
SIM = {
    "clocks": [
        {"sckHz": 20_000_000, "bytesPerSecond": 2_000_000},
        {"sckHz": 40_000_000, "bytesPerSecond": 3_000_000},
    ]
}


@pytest.fixture
def picture():
    """The parsed picture."""
    return ET.fromstring(bench_plot.picture(CORE, SIM))


def test_measured_points_are_where_they_were_measured(picture):
    found = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in picture.iter(f"{SVG}circle")]
    assert found[:2] == [bench_plot.place(20, 2.0), bench_plot.place(40, 3.0)]


def test_places_grow_right_and_up():
    (x, y), (right, up) = bench_plot.place(10, 1), bench_plot.place(20, 2)
    assert right > x
    assert up < y


def test_nothing_is_faster_than_the_wire():
    wire = bench_plot.rate(bench_plot.wire_seconds(bench_plot.TRANSFER_BYTES, 40))
    assert wire == pytest.approx(2048 / 2060 * 5)
    seconds = bench_plot.wire_seconds(bench_plot.PAIR_BYTES, 40)
    assert bench_plot.rate(seconds + bench_plot.chip_seconds(13_000, 160e6)) < wire


def test_all_of_it_is_in_the_picture(picture):
    numbers = []
    for line in picture.iter(f"{SVG}polyline"):
        numbers += [tuple(map(float, point.split(","))) for point in line.get("points").split()]
    assert all(0 <= x <= bench_plot.WIDTH and 0 <= y <= bench_plot.HEIGHT for x, y in numbers)
    words = [text.text for text in picture.iter(f"{SVG}text")]
    for wanted in ("the wire alone", "SPI clock, MHz", "payload, MB/s", "26.67"):
        assert wanted in words


def test_figures_that_are_missing_are_one_line(tmp_path):
    command = [sys.executable, str(ROOT / "bench/plot.py"), "no.json", "no.json", "no.svg"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("bench: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("tool", ["core", "plot", "ready", "sim", "stacks"])
def test_arguments_that_are_missing_are_wrong_usage(tool):
    command = [sys.executable, str(ROOT / "bench" / f"{tool}.py")]
    done = subprocess.run(command, env=WITH_TOOLS, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{tool}.py: error: the following arguments are required" in done.stderr
