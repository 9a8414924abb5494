"""MQTT with mosquitto as the broker: its log, its own clients, and its restart."""

import re
import subprocess

import pytest
from own_port import own_port
from printer_process import PATIENCE, Printer, ended_in_order, eventually

from spinet_controller.printer import certificate
from spinet_controller.printer.plan import mqtt_client_id

PASSWORD = "broker-secret-word"
USER = "printer"


class Mosquitto:
    """A broker that wants a password; `log()` is what it has logged so far.

    `identity` is a spinet_controller certificate, for TLS; `more` is more of its configuration.
    """

    def __init__(self, folder, identity=None, more=""):
        self._more = more
        self.port = own_port()
        self._folder = folder
        self.identity = identity
        self._log = folder / "log"
        self._write_files()
        self.start()

    def _write_files(self):
        passwords = self._folder / "passwords"
        passwords.touch(mode=0o600)
        subprocess.run(["mosquitto_passwd", "-b", passwords, USER, PASSWORD], check=True)
        (self._folder / "config").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous false\nuser root\n"
            f"password_file {passwords}\nlog_type all\nlog_dest file {self._log}\n{self._more}"
            + self._tls()
        )

    def _tls(self):
        if self.identity is None:
            return ""
        cert = self.identity.path
        return f"certfile {cert}\nkeyfile {cert.with_name('key.pem')}\n"

    def start(self):
        self._process = subprocess.Popen(
            ["mosquitto", "-c", self._folder / "config"], stderr=subprocess.DEVNULL
        )

    def stop(self):
        self._process.terminate()
        self._process.wait(PATIENCE)

    def log(self):
        return self._log.read_text() if self._log.exists() else ""

    def logged(self, pattern):
        return re.findall(pattern, self.log())

    def client(self, program, *arguments):
        """Start mosquitto_pub or mosquitto_sub."""
        account = ("-p", str(self.port), "-u", USER, "-P", PASSWORD)
        return subprocess.Popen([program, *account, *arguments], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def broker(tmp_path):
    running = Mosquitto(tmp_path)
    yield running
    running.stop()


def printer_at(broker, folder, *options):
    """A printer that knows the broker and its password."""
    folder.mkdir()
    return Printer(
        *("sockets", "module-clocked", folder),
        options=(
            *("-v", "--mqtt-broker", f"127.0.0.1:{broker.port}", "--mqtt-user", USER),
            *options,
        ),
        SPINET_MQTT_PASSWORD=PASSWORD,
    )


@pytest.fixture
def printer(broker, tmp_path):
    """A printer at the broker."""
    running = printer_at(broker, tmp_path / "printer")
    yield running
    ended_in_order(running)
    assert PASSWORD not in "".join(running.output)


def client_id(printer):
    """The id that its module gives a printer at a broker."""
    return mqtt_client_id(printer.status()["module"]["mac"])


def test_a_printer_at_a_real_broker(broker, printer):
    printer.make_file("part.gcode", 77)
    name = client_id(printer)
    eventually(lambda: broker.logged(f"Received SUBSCRIBE from {name}"), "a subscription")
    assert broker.logged(rf"connected from \S+ as {name} \(p5, c1, k20, u'printer'\)")

    listener = broker.client("mosquitto_sub", "-t", "spinet-printer/reply", "-C", "1")
    eventually(lambda: broker.logged(r"spinet-printer/reply \(QoS 0\)"), "the listener")
    broker.client("mosquitto_pub", "-t", "spinet-printer/command", "-m", "M20").communicate()
    reply, _ = listener.communicate(timeout=PATIENCE)
    assert reply.split() == ["77", "part.gcode", "ok"]

    status = broker.client("mosquitto_sub", "-t", "spinet-printer/status", "-C", "1")
    assert '"ssid": "Workshop"' in status.communicate(timeout=PATIENCE)[0]

    broker.stop()
    eventually(lambda: printer.said("MQTT: the broker is gone"), "the loss")
    broker.start()
    connected = rf"New client connected from \S+ as {name}"
    eventually(lambda: len(broker.logged(connected)) >= 2, "the second session")
    listener = broker.client("mosquitto_sub", "-t", "spinet-printer/state", "-C", "1")
    assert listener.communicate(timeout=PATIENCE)[0] == "online\n"
    assert PASSWORD not in str(printer.status())
    ended = broker.client("mosquitto_sub", "-t", "spinet-printer/state", "-C", "2")
    assert ended.stdout.readline() == "online\n"
    assert printer.stop() == 130
    assert ended.communicate(timeout=PATIENCE)[0] == "offline\n"
    eventually(lambda: broker.logged(f"Received DISCONNECT from {name}"), "in good order")


def test_a_retained_command_is_not_done_at_the_next_start(broker, tmp_path):
    eventually(lambda: broker.logged(r"mosquitto version \S+ running"), "a broker")
    command = ("-t", "spinet-printer/command", "-m")
    broker.client("mosquitto_pub", "-r", *command, "delete victim").communicate(timeout=PATIENCE)
    listener = broker.client("mosquitto_sub", "-t", "spinet-printer/reply", "-C", "1")
    eventually(lambda: broker.logged(r"spinet-printer/reply \(QoS 0\)"), "the listener")
    printer = printer_at(broker, tmp_path / "printer")
    victim = printer.make_file("victim", 10)
    eventually(lambda: broker.logged(r"Sending PUBLISH .*command"), "the retained command")
    broker.client("mosquitto_pub", *command, "M20").communicate(timeout=PATIENCE)
    assert listener.communicate(timeout=PATIENCE)[0].split() == ["10", "victim", "ok"]
    assert victim.exists()
    ended_in_order(printer)


def test_a_broker_that_takes_small_packets_only_keeps_the_session(tmp_path):
    broker = Mosquitto(tmp_path, more="max_packet_size 250\n")
    printer = printer_at(broker, tmp_path / "printer")
    size = "the broker takes packets of at most 250 bytes"
    eventually(lambda: printer.said(f"the status is not published: {size}"), "the note")
    listener = broker.client("mosquitto_sub", "-t", "spinet-printer/reply", "-C", "1")
    eventually(lambda: broker.logged(r"spinet-printer/reply \(QoS 0\)"), "the listener")
    command = ("-t", "spinet-printer/command", "-m", "help")
    broker.client("mosquitto_pub", *command).communicate(timeout=PATIENCE)
    reply, _ = listener.communicate(timeout=PATIENCE)
    assert reply == f"Error: the answer is too long: {size}\n"
    assert len(broker.logged(f"New client connected from .* as {client_id(printer)}")) == 1
    ended_in_order(printer)
    broker.stop()


@pytest.mark.parametrize(
    ("name", "topic"),
    [("Printer #2", "Printer -2"), ("T2+CW", "T2-CW"), ("Büro 3D", "Büro 3D")],
)
def test_a_printer_of_any_name_is_at_its_broker(broker, tmp_path, name, topic):
    printer = printer_at(broker, tmp_path / "printer", "--host-name", name)
    state = broker.client("mosquitto_sub", "-t", f"{topic}/state", "-C", "1")
    assert state.communicate(timeout=PATIENCE)[0] == "online\n"
    ended_in_order(printer)


def test_two_printers_of_one_name_keep_their_sessions(broker, printer, tmp_path):
    other = printer_at(broker, tmp_path / "other")
    for running in (printer, other):
        name = f"Received PUBLISH from {client_id(running)} .*spinet-printer/status"
        eventually(lambda name=name: len(broker.logged(name)) >= 2, "two statuses of each")
    assert not broker.logged("already connected")
    ended_in_order(other)


# -- TLS ----------------------------------------------------------------------------------


@pytest.fixture
def secure_broker(tmp_path):
    """A broker with a certificate for localhost."""
    running = Mosquitto(tmp_path, certificate.kept(tmp_path / "tls", "localhost", "127.0.0.1"))
    yield running
    running.stop()


def secure_printer(folder, broker, ca):
    """A printer that trusts `ca` alone."""
    folder.mkdir()
    return Printer(
        *("sockets", "module-clocked", folder),
        options=(
            *("--mqtt-broker", f"localhost:{broker.port}", "--mqtt-user", USER),
            *("--mqtt-tls", "--mqtt-ca", str(ca.path)),
        ),
        SPINET_MQTT_PASSWORD=PASSWORD,
    )


def test_a_printer_at_a_broker_over_tls(secure_broker, tmp_path):
    printer = secure_printer(tmp_path / "right", secure_broker, secure_broker.identity)
    eventually(lambda: printer.said("MQTT: connected"), "the session")
    subscribed = f"Received SUBSCRIBE from {client_id(printer)}"
    eventually(lambda: secure_broker.logged(subscribed), "its log")
    ended_in_order(printer)

    other = certificate.kept(tmp_path / "other", "localhost", "127.0.0.1")
    printer = secure_printer(tmp_path / "wrong", secure_broker, other)
    eventually(lambda: printer.said("the module says: TLS: "), "the reason")
    assert not printer.said("MQTT: connected")
    ended_in_order(printer)
    assert PASSWORD not in "".join(printer.output)
