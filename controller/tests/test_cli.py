"""The command line as a person or a script meets it, against the fake module as a program."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from fake_module import HELLO, WHOLE
from own_port import own_port

from spinet_controller.cli import bench, session
from spinet_controller.cli.main import main
from spinet_controller.cli.program import program
from spinet_controller.cli.session import _one_line
from spinet_controller.errors import Refused

FAKE_SIM = Path(__file__).with_name("fake_sim.py")
COMMAND = [sys.executable, "-c", "from spinet_controller.cli.main import main; main()"]
PATIENCE = 60
SECRET = "correct horse battery"
UNHURRIED = ("--time-scale", "100")
"""Controller and module are two processes, and either may stand still."""


class Run:
    """`spinet-controller` as a process of its own."""

    def __init__(self, *arguments, mood="", stdin=subprocess.DEVNULL, sim=True, env=None):
        options = ["--sim", str(FAKE_SIM), "--bus-port", "0"] if sim else []
        if arguments and "--time-scale" not in arguments:
            options += UNHURRIED
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments), *options],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "FAKE_SIM": mood, **(env or {})},
        )

    def until(self, pattern, stream="stdout"):
        """Read lines until one matches; give the match."""
        seen = []
        for line in getattr(self.process, stream):
            seen.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"{pattern!r} was not printed, but {seen}")

    def end(self, number=None):
        """Send a signal, if one is given; give (code, stdout, stderr) of the end."""
        if number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def run(*arguments, **options):
    """Run to the end."""
    return Run(*arguments, **options).end()


def failed(result, text, code=1):
    """Check for one line on standard error, and no other output; give the line."""
    got, out, err = result
    assert (got, out) == (code, ""), (out, err)
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    assert text in err
    return err


def left_over():
    """Give the fake modules of this test that still run."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                environment = (folder / "environ").read_bytes()
                if b"-m\0sim\0" in command and MARK.encode() in environment:
                    found.append(folder.name)
    return found


MARK = f"SPINET_TEST={os.getpid()}"


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch, tmp_path):
    """Every test ends with no process and no temporary file of its own."""
    monkeypatch.setenv(*MARK.split("="))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield
    found = left_over()
    for number in found:
        os.kill(int(number), signal.SIGKILL)
    assert found == []
    assert [path for path in tmp_path.iterdir() if path.name.startswith("spinet-")] == []


# -- usage ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", program.commands)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(program, [command, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def without(package):
    """The command line where a package is not installed."""
    lacks = f"import sys; sys.modules[{package!r}] = None; "
    return [sys.executable, "-c", lacks + COMMAND[-1]]


def test_the_printer_is_an_extra(monkeypatch):
    monkeypatch.setitem(globals(), "COMMAND", without("aiohttp"))
    failed(run("serve"), "aiohttp is missing: pip install 'spinet-controller[printer]'")
    assert run("status")[0] == 0


def test_what_the_printer_lacks_is_not_served(monkeypatch):
    monkeypatch.setitem(globals(), "COMMAND", without("aioftp"))
    running = Run("serve", "--port", own_port(), *ALONE, "--ftp-port", own_port())
    told = running.until("not served", "stderr").string
    running.until("the printer is at")
    assert (
        told == "FTP is not served: aioftp is missing: pip install 'spinet-controller[printer]'\n"
    )
    assert running.end(signal.SIGINT)[0] == 130


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["status", "--bus-port", "x"], "--bus-port"),
        (["status", "--role", "neither"], "--role"),
        (["status", "--sim", "/nowhere/sim"], "does not exist"),
        (["bench", "--size", "0"], "--size"),
        (["connect", "127.0.0.1", "70000"], "PORT"),
        (["connect", "two words", "80"], "'two words' can be no host name"),
        (["call-home", "two words", "80"], "'two words' can be no host name"),
        (["call-home", "home.example"], "Missing argument 'PORT'"),
        (["networks", "add", "s" * 33, "--open"], "an SSID is longer than 32 bytes"),
        (["networks", "add", "x", "--open", "--ip", "1.2.3"], "not an IPv4 address"),
        (["listen"], "Missing argument 'PORT'"),
        (["networks", "remove", "\ud800"], "an SSID is no text"),
        (["bench", "--size", "nan"], "'nan' is not a number"),
        (["status", "--timeout", "nan"], "'nan' is not a number"),
        (["serve", "--ssid", "s" * 33], "an SSID is longer than 32 bytes"),
        (["serve", "--ssid", "\ud800"], "an SSID is no text"),
        (["serve", "--password", "p" * 65], "a password is longer than 64 bytes"),
        (["serve", "--host-name", "h" * 64], "a host name is longer than 63 bytes"),
        (["serve", "--host-name", ""], "a name is wanted"),
        (["serve", "--mqtt-broker", "two words"], "'two words' can be no host name"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(monkeypatch, capsys, arguments, text):
    monkeypatch.setattr(sys, "argv", ["spinet-controller", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    failed((ended.value.code, out, err), text, code=2)


def test_what_a_module_says_moves_no_cursor():
    assert _one_line(Refused("the module says: \x1b[2J\na")) == "the module says: \\x1b[2J a"


def test_a_file_that_is_too_large_for_any_flash(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("spinet_controller.cli.update._LARGEST_FLASH", len(WHOLE) - 1)
    (tmp_path / "large").write_bytes(WHOLE)
    monkeypatch.setattr(sys, "argv", ["spinet-controller", "update", str(tmp_path / "large")])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    failed((ended.value.code, out, err), "the image is cut short")


@pytest.mark.parametrize(("arguments", "word"), [([], "serve"), (["networks"], "remove")])
def test_no_arguments_show_the_help(monkeypatch, capsys, arguments, word):
    monkeypatch.setattr(sys, "argv", ["spinet-controller", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert (ended.value.code, out) == (2, "")
    assert err.startswith("Usage: ")
    assert word in err


# -- no module --------------------------------------------------------------------------


def test_no_module_in_time():
    port = own_port()
    result = run("status", "--bus-port", port, "--timeout", "0.2", sim=False)
    failed(result, f"no module on 127.0.0.1:{port} yet: start one with `make sim PORT={port}`")


def test_a_port_in_use():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("status", "--bus-port", port, sim=False)
        told = failed(result, f"port {port} of 127.0.0.1 is in use: is another controller running?")
        assert "(--bus-port chooses another port)" in told


def test_a_program_that_never_connects():
    result = run("status", "--timeout", "0.5", mood="mute")
    failed(result, "the module program did not connect to 127.0.0.1:")


def test_a_program_that_dies():
    line = failed(run("status", mood="dies"), "the module program ended (exit code 3)")
    assert "my last words" in line


def test_a_program_that_cannot_run(tmp_path):
    text = tmp_path / "sim"
    text.write_text("not a program")
    result = run("status", "--bus-port", "0", "--sim", text, sim=False)
    failed(result, f"cannot start {text}: Permission denied")


def test_a_serial_line_without_a_module():
    master, line = pty.openpty()
    name = os.ttyname(line)
    result = run("status", "--serial-bus", name, "--timeout", "0.5", sim=False)
    failed(result, f"no module answers at {name}")
    os.close(master)
    os.close(line)


def test_no_serial_line(tmp_path):
    result = run("status", "--serial-bus", tmp_path / "none", sim=False)
    failed(result, f"cannot use {tmp_path}/none: No such file or directory")


def test_a_serial_line_and_a_program():
    failed(run("status", "--serial-bus", "/dev/null"), "there by nothing else", code=2)


def test_a_module_of_another_role():
    port = own_port()
    waiting = Run("status", "--bus-port", port, "--role", "controller-clocked", sim=False)
    wait_for_listener(port)
    module_program(port).wait(PATIENCE)
    failed(waiting.end(), "the module is module-clocked")


# -- answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["module-clocked", "controller-clocked"])
def test_status(role):
    code, out, err = run("status", "--role", role)
    assert (code, err) == (0, "")
    assert re.search(r"free heap +96\.0 KiB", out)
    assert re.search(r"free sockets +8 of 8", out)
    assert re.search(rf"link +{role}", out)


def test_status_for_a_script():
    code, out, _ = run("status", "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["ssid"], document["freeHeap"]) == ("Workshop", 98304)
    assert document["sockets"] == ["free"] * 8


def test_verbose_shows_the_modules_output():
    code, _, err = run("status", "-v")
    assert code == 0
    assert "fake-sim: starting" in err


def test_scan():
    assert "Workshop" in run("scan")[1]
    found = json.loads(run("scan", "--json")[1])
    assert [network["ssid"] for network in found] == ["Workshop", "Café"]


def test_networks():
    document = json.loads(run("networks", "list", "--json")[1])
    assert document == {
        "accessPoint": None,
        "networks": [{"ssid": "Workshop", "address": "dhcp"}],
    }
    assert "Workshop" in run("networks", "list")[1]
    assert run("networks", "remove", "Workshop")[:2] == (0, "forgot Workshop\n")
    failed(run("networks", "remove", "Nowhere"), "the module says: SSID not found")
    assert run("networks", "remove-access-point")[:2] == (0, "forgot the access point\n")


@pytest.mark.parametrize("way", ["environment", "stdin", "prompt"])
def test_a_password_is_taken_and_never_shown(way):
    runner = CliRunner(env={"SPINET_PASSWORD": SECRET if way == "environment" else None})
    arguments = ["networks", "add", "Home", "--sim", str(FAKE_SIM), "--bus-port", "0", "-v"]
    arguments += UNHURRIED
    if way == "stdin":
        arguments.append("--password-stdin")
    given = None if way == "environment" else SECRET + "\n"
    result = runner.invoke(program, arguments, input=given)
    assert result.exit_code == 0, result.output
    assert "remembered Home" in result.output
    assert SECRET not in result.output


@pytest.mark.parametrize("command", [["networks", "add"], ["access-point"]])
def test_a_password_from_a_pipe_needs_no_option(command):
    running = Run(*command, "Home", stdin=subprocess.PIPE)
    running.process.stdin.write(f"{SECRET}\n")
    code, out, err = running.end()
    assert (code, err) == (0, "")
    assert "Home" in out
    assert SECRET not in out


def test_no_password_at_all():
    failed(run("networks", "add", "Home"), "there is no password on standard input", code=2)


def test_join_and_leave():
    assert run("join")[:2] == (0, "on Workshop, at 127.0.0.1\n")
    assert run("join", "Workshop")[:2] == (0, "on Workshop, at 127.0.0.1\n")
    code, out, _ = run("join", "Home", "--json", env={"SPINET_PASSWORD": SECRET})
    assert (code, json.loads(out)) == (0, {"network": "Workshop", "address": "127.0.0.1"})
    failed(run("join", "Home", env={"SPINET_PASSWORD": "short"}), "the module says: bad password")
    assert run("leave")[:2] == (0, "on no network\n")


def test_access_point():
    code, out, err = run("access-point", "Own", "--open", "--ip", "10.0.0.1", "--channel", "3")
    assert (code, out, err) == (0, "Own is at 10.0.0.1\n", "")
    failed(run("access-point", "s" * 33, "--open"), "longer than 32 bytes", code=2)


def test_what_the_module_is_told():
    assert run("host-name", "printer")[:2] == (0, "the module is called printer\n")
    failed(run("host-name", ""), "a name is wanted", code=2)
    assert run("reset")[:2] == (0, "the module has started again\n")
    assert run("factory-reset", "--yes")[:2] == (0, "everything is forgotten\n")
    code, out, _ = run("diagnostics", "--json")
    assert (code, json.loads(out)) == (0, {"diagnostics": True})


def test_a_factory_reset_is_asked_about():
    code, out, err = run("factory-reset")
    assert (code, out) == (130, "")
    assert "Forget all networks" in err


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "there is no password on standard input"),
        (b"a\0b\n", "a password is longer than 64 bytes or holds a NUL"),
        (b"\xff" * 7 + b"\n", "the module says: bad password"),
        (b"\xff" * 8 + b"\n", None),
        (b"\xff" * 63, None),
        (b"0123456789abcDEF" * 4 + b"\n", None),
    ],
)
def test_a_password_of_any_bytes_from_standard_input(tmp_path, given, reason):
    (tmp_path / "given").write_bytes(given)
    with open(tmp_path / "given") as stdin:
        strict = {"PYTHONIOENCODING": "utf-8:strict"}
        result = run("networks", "add", "Home", "--password-stdin", stdin=stdin, env=strict)
    if reason is None:
        assert result[0] == 0, result
    else:
        failed(result, reason, code=1 if "says" in reason else 2)


@pytest.mark.behaviour("D20")
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Größe ☕", "Größe ☕"),
        ("no \udcff UTF-8", "no \\xff UTF-8"),
        ("\x1b[2J\n", "\\x1b[2J\\x0a"),
        ("[red]:cat:", "[red]:cat:"),
        ("\udcff" * 32, "\\xff" * 32),
    ],
)
def test_a_network_of_any_name(tmp_path, name, text):
    env = {"FAKE_SIM_SSID": name}
    for arguments in (["scan"], ["networks", "list"]):
        code, out, err = run(*arguments, env={**env, "COLUMNS": "200"})
        assert (code, err) == (0, "")
        assert text in out
        code, out, _ = run(*arguments, "--json", env=env)
        assert f'"ssid": {json.dumps(name)}' in out
    for arguments in (["networks", "add", name, "--open"], ["networks", "remove", name]):
        code, out, _ = run(*arguments, env=env)
        assert (code, out.endswith(f" {text}\n")) == (0, True)


# -- sockets ----------------------------------------------------------------------------


def test_listen_and_echo():
    port = own_port()
    running = Run("listen", port, "--echo", "--count", "2", "--json")
    running.until('"listening"')
    for text in (b"hello", b"again"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
            peer.sendall(text)
            peer.shutdown(socket.SHUT_WR)
            assert peer.makefile("rb").read() == text
    code, out, err = running.end()
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [event["text"] for event in events if event["event"] == "data"] == ["hello", "again"]
    assert [event["event"] for event in events].count("ended") == 2


def test_listen_ends_when_nobody_reads_what_it_shows():
    port = own_port()
    running = Run("listen", port)
    running.until("listening", "stderr")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        running.until("connected")
        running.process.stdout.close()
        running.process.stdout = None
        peer.sendall(b"hello")
        code, _out, err = running.end()
    assert (code, err) == (1, "")


def test_a_connection_that_fails_is_told_at_once(monkeypatch):
    """A wait for the last words of a program whose bus still stands would have no end."""

    async def wait(_session):
        raise AssertionError("waited for last words")

    monkeypatch.setattr(session.Session, "_raise_last_words", wait)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = ("--sim", str(FAKE_SIM), "--bus-port", "0", *UNHURRIED)
    result = CliRunner().invoke(program, ["connect", "127.0.0.1", str(port), *options])
    assert result.exit_code == 1
    assert "the connection was not accepted" in result.output


def test_listen_on_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed(run("listen", port), f"the module cannot listen on port {port}: Listen failed")


def greeter():
    """Give the port of a peer that sends back what it got, reversed, and closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = server.accept()
        with server, peer:
            peer.sendall(peer.recv(100)[::-1])

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_connect_is_a_pipe(host):
    running = Run("connect", host, greeter(), stdin=subprocess.PIPE)
    running.process.stdin.write("olleh")
    running.process.stdin.flush()
    assert running.process.stdout.read() == "hello"
    assert running.end()[0] == 0


def test_connect_ends_when_all_is_quiet():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        running = Run("connect", "127.0.0.1", port, "--quiet", "0.05", stdin=subprocess.PIPE)
        peer, _ = server.accept()
        with peer:
            running.process.stdin.write("x" * 100_000)
            running.process.stdin.close()
            assert len(peer.makefile("rb").read()) == 100_000
        running.process.stdin = None
        assert running.end()[0] == 0


def test_connect_without_an_input():
    without = [*("sh", "-c", '"$@" <&-', "sh"), *COMMAND, "connect", "127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        options = ["--quiet", "0.05", "--sim", str(FAKE_SIM), "--bus-port", "0", *UNHURRIED]
        ended = subprocess.run(
            [*without, port, *options], capture_output=True, text=True, timeout=PATIENCE
        )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_connect_to_nobody():
    result = run("connect", "127.0.0.1", own_port())
    failed(result, "the connection was not accepted")


def test_connect_to_a_name_that_nobody_knows():
    failed(run("connect", "no.such.host.invalid", "80"), "host not found: no.such.host.invalid")


def test_bench():
    code, out, err = run("bench", "--size", "0.2", "--port", own_port(), "--json")
    entries = json.loads(out)
    assert (code, err) == (0, "")
    assert [entry["direction"] for entry in entries] == ["receive", "send", "echo"]
    assert [entry["bytes"] for entry in entries] == [209715, 209715, 419430]
    assert all(entry["ofLoopback"] > 0 and entry["bytesPerTransaction"] > 500 for entry in entries)
    assert "receive" in run("bench", "--size", "0.01", "--port", own_port())[1]


@pytest.mark.parametrize(
    "said",
    [b"", bench.RECEIVE + bytes(2), bench.RECEIVE + (4096).to_bytes(8, "big") + b"some"],
    ids=["nothing", "half-a-header", "half-of-the-data"],
)
@pytest.mark.parametrize("end", ["close", "abort"])
async def test_a_peer_that_leaves_a_bench_half_way_is_told_of_at_its_own_end(said, end):
    """Ctrl-C ends the peer first, and then the module's end is no news."""
    reported = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    answered = loop.create_future()

    async def answer(reader, writer):
        answering = asyncio.ensure_future(bench.answer(reader, writer))
        answering.add_done_callback(answered.set_result)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        _reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(said)
        await writer.drain()
        getattr(writer.transport, end)()
        async with asyncio.timeout(PATIENCE):
            assert (await answered).exception() is None
    assert reported == []


@pytest.mark.behaviour("N5")
@pytest.mark.parametrize("role", ["module-clocked", "controller-clocked"])
def test_churn(role):
    code, out, err = run(
        *("churn", "--cycles", "60", "--parallel", "12", "--port", own_port()),
        *("--role", role, "--json"),
    )
    document = json.loads(out)
    assert (code, err) == (0, ""), document
    assert sum(document["done"].values()) == 60
    assert set(document["done"]) == {"close", "reset", "abort", "half-open"}
    assert document["slotsNotFree"] == []


def test_churn_for_a_person():
    code, out, _ = run("churn", "--cycles", "8", "--port", own_port())
    assert code == 0
    assert re.search(r"slots not free +none", out)


# -- serve ------------------------------------------------------------------------------

ALONE = ("--https-port", "none", "--ftp-port", "0", "--telnet-port", "none")
"""Nothing is served but the site."""


def test_serve_lists_what_it_serves_and_leaves_nothing(tmp_path):
    ports = {name: own_port() for name in ("port", "https-port", "ftp-port", "telnet-port")}
    options = [part for name, port in ports.items() for part in (f"--{name}", port)]
    running = Run(
        *("serve", *options, "--files", tmp_path / "files", "--tls-folder", tmp_path / "tls"),
        *("--mqtt-broker", f"127.0.0.1:{own_port()}", "--host-name", "p7"),
    )
    running.until("the printer is at")
    lines = [running.process.stdout.readline().split() for _ in range(4)]
    assert lines[:3] == [
        ["HTTPS", f"https://127.0.0.1:{ports['https-port']}/"],
        ["FTP", f"ftp://127.0.0.1:{ports['ftp-port']}/"],
        ["Telnet", f"telnet://127.0.0.1:{ports['telnet-port']}/"],
    ]
    assert lines[3][0] == "MQTT"
    assert lines[3][1].startswith("mqtt://127.0.0.1:")
    wait_for_listener(ports["ftp-port"])
    with socket.create_connection(("127.0.0.1", ports["ftp-port"]), timeout=PATIENCE) as peer:
        assert peer.recv(100).startswith(b"220 ")
        code, _out, err = running.end(signal.SIGINT)
    assert code == 130
    assert "Traceback" not in err
    for port in ports.values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--ftp-port", "ftp"), "not a valid integer"),
        (("--telnet-port", "65536"), "65536 is not in the range"),
        (("--tls-cert", __file__), "--tls-cert and --tls-key go together"),
        (("--mqtt-user", "me"), "there is no --mqtt-broker to use this for"),
        (("--mqtt-broker", "b", "--mqtt-tls"), "--mqtt-tls and --mqtt-ca go together"),
        (("--mqtt-broker", "b", "--mqtt-user", "m\udcfc"), "--mqtt-user is not UTF-8"),
        (
            ("--mqtt-broker", "b", "--mqtt-tls", "--mqtt-ca", __file__),
            "bytes; the module takes 2048",
        ),
        (("--mqtt-broker", ":1"), "is no HOST or HOST:PORT"),
        (("--mqtt-broker", "b:99999"), "99999 is not in the range"),
    ],
)
def test_serve_with_options_that_make_no_sense(options, reason):
    result = CliRunner().invoke(program, ["serve", *options])
    assert result.exit_code == 2
    assert reason in result.output


def test_serve_shows_no_password(tmp_path):
    secrets = {
        "SPINET_MQTT_PASSWORD": "mqtt-\udcffsecret-word",
        "SPINET_PASSWORD": "wifi-secret-word",
    }
    with socket.create_server(("127.0.0.1", 0)) as broker:
        running = Run(
            *("serve", "-v", "--port", own_port(), "--files", tmp_path / "files", *ALONE),
            *("--ssid", "Workshop", "--mqtt-user", "me"),
            *("--mqtt-broker", f"127.0.0.1:{broker.getsockname()[1]}"),
            env=secrets,
        )
        running.until("the printer is at")
        peer, _ = broker.accept()
        with peer:
            assert b"mqtt-\xffsecret-word" in peer.recv(1000)
        _code, out, err = running.end(signal.SIGINT)
    assert "secret-word" not in out + err


def test_serve_joins_another_network_and_is_there_again(tmp_path):
    port = own_port()
    running = Run("serve", "--port", port, "--files", tmp_path / "files", *ALONE)
    running.until("the printer is at")

    def post(path, body):
        wait_for_listener(port)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            data=body.encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status

    assert post("/api/networks", '{"ssid": "Attic", "password": "long-enough"}') == 204
    assert post("/api/join", '{"ssid": "Attic"}') == 202
    running.until("the printer is at")
    assert post("/api/scan", "{}") == 200
    assert running.end(signal.SIGINT) == (130, "", "")


@pytest.mark.behaviour("D19")
def test_serve_joins_again_when_its_network_was_lost(tmp_path):
    port = own_port()
    arguments = ("serve", "--port", port, "--files", tmp_path / "files", *ALONE)
    running = Run(*arguments, mood="roams")
    running.until("the printer is at")
    running.until("the module lost its network; joining again", "stderr")
    running.until("the printer is at")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(b"GET /api/files HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b'{"files": []}' in peer.makefile("rb").read()
    assert running.end(signal.SIGINT) == (130, "", "")


@pytest.mark.behaviour("D19")
def test_listen_joins_again_when_its_network_was_lost():
    port = own_port()
    running = Run("listen", port, "--echo", "--count", "1", mood="roams")
    running.until("the module is on Workshop again, at 127.0.0.1", "stderr")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(b"hello")
        peer.shutdown(socket.SHUT_WR)
        assert peer.makefile("rb").read() == b"hello"
    code, _out, err = running.end()
    assert (code, err) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_until_it_is_ended(number, tmp_path):
    port = own_port()
    running = Run("serve", "--port", port, "--files", tmp_path / "files", *ALONE)
    url = running.until(r"the printer is at (http://\S+) \(network Workshop\)").group(1)
    assert url == f"http://127.0.0.1:{port}/"
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as peer:
        peer.sendall(b"GET /api/files HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b'{"files": []}' in peer.makefile("rb").read()
    code, out, err = running.end(number)
    assert (code, out, err) == (128 + number, "", "")


def test_files_go_when_no_folder_is_given(tmp_path):
    running = Run("serve", "--port", own_port(), *ALONE)
    folder = running.until(r"files are kept in (\S+)", "stderr").group(1)
    running.until("the printer is at")
    assert Path(folder).is_dir()
    assert running.end(signal.SIGINT)[0] == 130
    assert not Path(folder).exists()


def test_serve_for_a_script(tmp_path):
    running = Run("serve", "--port", own_port(), "--json", "--files", tmp_path / "files", *ALONE)
    line = running.process.stdout.readline()
    assert json.loads(line)["url"].startswith("http://127.0.0.1:")
    assert running.end(signal.SIGINT)[0] == 130


def test_serve_on_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", port, "--files", tmp_path / "files", *ALONE)
        told = f"the module cannot listen on port {port}: Listen failed; --port chooses another"
        failed(result, f"{told} (make run: HTTP_PORT)")


@pytest.mark.parametrize("name", ["https", "ftp", "telnet"])
def test_serve_where_one_of_its_ports_is_taken(tmp_path, name):
    folders = ("--files", tmp_path / "files", "--tls-folder", tmp_path / "tls")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = Run("serve", "--port", own_port(), *folders, *ALONE, f"--{name}-port", port)
        told = running.until(" is not served: ", "stderr").string
        running.until("the printer is at")
        assert running.end(signal.SIGINT)[0] == 130
    assert told.lower().startswith(f"{name} is not served: the module cannot listen on port {port}")
    assert f"; --{name}-port chooses another (make run: {name.upper()}_PORT)" in told


def test_a_password_without_a_network_is_told(tmp_path):
    arguments = ("serve", "--port", own_port(), "--files", tmp_path / "files", *ALONE)
    running = Run(*arguments, env={"SPINET_PASSWORD": SECRET})
    told = running.until(r"SPINET_PASSWORD.* is not used", "stderr").string
    assert "--ssid" in told
    assert SECRET not in told
    running.until("the printer is at")
    assert running.end(signal.SIGINT)[0] == 130


def test_serve_with_a_program_that_dies(tmp_path):
    running = Run("serve", "--port", own_port(), "--files", tmp_path / "files", *ALONE)
    running.until("the printer is at")
    (module,) = left_over()
    os.kill(int(module), signal.SIGKILL)
    failed(running.end(), "the module program ended (SIGKILL)")


def test_serve_with_a_module_that_hangs(tmp_path):
    running = Run(
        *("serve", "--port", own_port(), "--files", tmp_path / "files", *ALONE),
        *("--time-scale", "10"),
        mood="hangs",
    )
    failed(running.end(), "not answered within")


def module_program(port):
    """Start the fake module as by hand."""
    options = ("--port", str(port), "--role", "module-clocked", "--state", "/nowhere")
    return subprocess.Popen([FAKE_SIM, "-m", "sim", *options], stdout=subprocess.DEVNULL)


def test_serve_goes_on_when_the_module_comes_back(tmp_path):
    bus, port = own_port(), own_port()
    running = Run(
        *("serve", "--bus-port", bus, "--port", port, "--files", tmp_path / "files", "-v", *ALONE),
        sim=False,
    )
    wait_for_listener(bus)
    first = module_program(bus)
    running.until("the printer is at")
    first.kill()
    first.wait()
    running.until("waiting for the module to come back", "stderr")
    with socket.create_connection(("127.0.0.1", bus)) as bouncing:
        bouncing.sendall(bytes([HELLO, 0, 1, 0]) + b"x")
    running.until("waiting for the module to come back", "stderr")
    second = module_program(bus)
    running.until("the printer is at")
    assert running.end(signal.SIGINT)[0] == 130
    assert second.wait(PATIENCE) == 0


@pytest.mark.parametrize("mood", ["returns", "leaves"])
def test_serve_waits_for_a_module_of_its_own_whose_program_lives(mood, tmp_path):
    running = Run("serve", "--port", own_port(), "--files", tmp_path / "files", *ALONE, mood=mood)
    running.until("the printer is at")
    (module,) = left_over()
    os.kill(int(module), signal.SIGUSR1)
    running.until("waiting for the module to come back", "stderr")
    if mood == "returns":
        running.until("the printer is at")
    assert running.end(signal.SIGINT) == (130, "", "")


def wait_for_listener(port):
    """Return once there is a listener, without connecting to it."""
    wanted = f"0100007F:{port:04X} 00000000:0000 0A"
    limit = time.monotonic() + PATIENCE
    while wanted not in Path("/proc/net/tcp").read_text():
        assert time.monotonic() < limit, f"no listener on {port}"
        time.sleep(0.01)


# -- Ctrl-C -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("listen", "{port}"),
        ("bench", "--size", "500", "--port", "{port}"),
        ("churn", "--cycles", "1000000", "--port", "{port}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_in_the_middle(arguments):
    port = own_port()
    running = Run(*(part.format(port=port) for part in arguments))
    wait_for_listener(port)
    code, out, err = running.end(signal.SIGINT)
    assert (code, out) == (130, "")
    assert err in ("", f"listening on 127.0.0.1:{port}\n")


def test_ctrl_c_while_waiting_for_a_module():
    port = own_port()
    running = Run("status", "--bus-port", port, sim=False)
    wait_for_listener(port)
    assert running.end(signal.SIGINT) == (130, "", "")


def test_ctrl_c_at_the_password():
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.termui.hidden_prompt_func", interrupted)
        patch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
        patch.setattr(sys, "argv", ["spinet-controller", "networks", "add", "Home"])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 130


def test_a_reader_that_leaves_is_no_traceback():
    running = Run("listen", own_port(), "--json")
    running.process.stdout.close()
    running.process.stdout = None
    code, _, err = running.end()
    assert (code, err) == (1, "")
