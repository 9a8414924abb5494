"""What real programs find of SIM: zeroconf, avahi and dig, in a network of their own."""

import contextlib
import os
import socket
import subprocess
import threading
import time

import pytest
from own_network import ADDRESSES, WITH_TAP, own_network
from raw_controller import PATIENCE, listen_or_connect
from sim_process import LWIP_BINARY, start_sim
from zeroconf import ServiceBrowser, Zeroconf

from spinet.version import VERSION_TEXT

__all__ = ["start_sim"]

CONFIG = bytes(16) + b"Workshop".ljust(96, b"\0")
OWN_AP = b"\x7f\0\0\1" + bytes(12) + b"Printer".ljust(96, b"\0")
# When two claim a name at the same time the higher address has it: the later one is the lower.
OUTSIDE = "10.77.0.2"
ALSO_OUTSIDE = "10.77.0.1"
DNS_PORT = 5300


@pytest.fixture
def network():
    """Loopback, and an interface that is no loopback."""
    with own_network():
        pair = ("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
        subprocess.run(pair, check=True)
        for address in (OUTSIDE, ALSO_OUTSIDE):
            subprocess.run(("ip", "addr", "add", address + "/24", "dev", "left"), check=True)
        for end in ("left", "right"):
            subprocess.run(("ip", "link", "set", end, "up"), check=True)
        subprocess.run(("ip", "route", "add", "224.0.0.0/4", "dev", "left"), check=True)
        yield


@pytest.fixture
def power_on(network, start_sim):
    """power_on(name, *options) -> SIM as a station, with a web page on 8080 and FTP on 2121."""

    def started(name, *options, **popen):
        sim = start_sim("module-clocked", *options, **popen)
        sim.power_on()
        assert sim.ask(18, data=name.ljust(64, b"\0"))[0] == 0
        assert sim.ask(10, data=CONFIG)[0] == 0
        assert sim.ask(14, data=b"Workshop")[0] == 0
        assert sim.ask(7, data=listen_or_connect(8080))[0] == 0
        assert sim.ask(7, data=listen_or_connect(2121, protocol=1))[0] == 0
        return sim

    return started


class Onlooker:
    """What zeroconf knows: service name -> (address, port, host name, properties)."""

    KINDS = ("_http._tcp.local.", "_ftp._tcp.local.", "_telnet._tcp.local.")

    def __init__(self, address):
        self.known = {}
        self._news = threading.Condition()
        self._zeroconf = Zeroconf(interfaces=[address])
        self._browser = ServiceBrowser(self._zeroconf, list(self.KINDS), listener=self)

    def add_service(self, zeroconf, kind, name):
        info = zeroconf.get_service_info(kind, name, timeout=1000 * PATIENCE)
        assert info, f"{name} is not announced"
        entry = (socket.inet_ntoa(info.addresses[0]), info.port, info.server, info.properties)
        with self._news:
            self.known[name] = entry
            self._news.notify_all()

    update_service = add_service

    def remove_service(self, _zeroconf, _kind, name):
        with self._news:
            self.known.pop(name, None)
            self._news.notify_all()

    def until(self, condition):
        """Wait until condition(known) holds."""
        with self._news:
            assert self._news.wait_for(lambda: condition(self.known), PATIENCE), self.known

    def close(self):
        self._browser.cancel()  # waits for what it is asking
        self._zeroconf.close()


@pytest.fixture
def look(network):
    """look(address) -> an Onlooker on that interface."""
    with contextlib.ExitStack() as stack:

        def started(address):
            onlooker = Onlooker(address)
            stack.callback(onlooker.close)
            return onlooker

        yield started


def test_zeroconf_sees_services_come_and_go(power_on, look):
    sim = power_on(b"My Printer")
    onlooker = look("127.0.0.1")
    http, ftp = "My-Printer._http._tcp.local.", "My-Printer._ftp._tcp.local."
    onlooker.until(lambda known: {http, ftp} == set(known))
    properties = {b"product": b"Spinet", b"version": VERSION_TEXT.encode()}
    assert onlooker.known[http] == ("127.0.0.1", 8080, "My-Printer.local.", properties)
    assert onlooker.known[ftp][1] == 2121
    sim.ask(7, data=listen_or_connect(2121, limit=0))
    onlooker.until(lambda known: set(known) == {http})
    sim.ask(7, data=listen_or_connect(2323, protocol=2))
    onlooker.until(lambda known: "My-Printer._telnet._tcp.local." in known)
    sim.ask(16)
    onlooker.until(lambda known: not known)


def test_zeroconf_sees_a_module_on_lwip(power_on, look):
    """All goes through lwIP there: the group, the answers, the goodbye."""
    peer, address = ADDRESSES["lwip"]
    sim = power_on(b"spinet", binary=LWIP_BINARY, before=WITH_TAP)
    onlooker = look(peer)
    http, ftp = "spinet._http._tcp.local.", "spinet._ftp._tcp.local."
    onlooker.until(lambda known: {http, ftp} == set(known))
    assert onlooker.known[http][:3] == (address, 8080, "spinet.local.")
    sim.ask(16)
    onlooker.until(lambda known: not known)


def test_zeroconf_sees_two_of_one_name(power_on, look):
    first = power_on(b"spinet")
    first.said("known as spinet.local")
    onlooker = look("127.0.0.1")
    second = power_on(b"spinet", "--address", OUTSIDE)
    second.said("known as spinet.local")  # on another interface no other host has the name
    onlooker.until(lambda known: len(known) == 2)
    third = power_on(b"spinet", "--address", ALSO_OUTSIDE)
    third.said("known as spinet-2.local")
    outside = look(OUTSIDE)
    outside.until(lambda known: "spinet-2._http._tcp.local." in known)


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path={folder}/bus</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
<allow receive_sender="*"/></policy></busconfig>"""
AVAHI = """[server]
use-ipv6=no
host-name=onlooker
[publish]
publish-addresses=no
publish-hinfo=no
publish-workstation=no
"""


@pytest.fixture
def avahi(network, tmp_path):
    """avahi(program, *arguments) -> what one of its tools printed; a daemon of its own answers."""
    (tmp_path / "bus.conf").write_text(BUS.format(folder=tmp_path))
    (tmp_path / "avahi.conf").write_text(AVAHI)
    environment = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/bus")
    # A /run of its own: another daemon of this computer may have its files there.
    own_run = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs run /run && exec "$@"', "sh")
    daemon = ("avahi-daemon", "-f", str(tmp_path / "avahi.conf"), "--no-drop-root", "--no-chroot")
    daemon += ("--no-proc-title", "--no-rlimits")
    bus = ("dbus-daemon", "--nofork", "--print-address", "--config-file", tmp_path / "bus.conf")
    with contextlib.ExitStack() as stack:
        said = process(stack, bus, stdout=subprocess.PIPE)
        assert said.stdout.readline()  # it listens
        said = process(stack, (*own_run, *daemon), env=environment, stderr=subprocess.PIPE)
        assert any(b"Server startup complete" in line for line in said.stderr)

        def run(*command):
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            return done.stdout

        shed = ("avahi-publish", "-a", "-R", "shed.local", ALSO_OUTSIDE)
        said = process(stack, shed, env=environment, stderr=subprocess.PIPE)
        assert any(b"Established under name" in line for line in said.stderr)
        yield run


def process(stack, command, **popen):
    """Start it; it is ended with the stack."""
    started = subprocess.Popen(command, **popen)
    stack.callback(started.wait, PATIENCE)
    stack.callback(started.terminate)
    for pipe in (started.stdout, started.stderr):
        if pipe:
            stack.callback(pipe.close)
    return started


def test_avahi_sees_services_and_names(power_on, avahi):
    sim = power_on(b"printer", "--address", OUTSIDE)
    sim.said("known as printer.local")
    found = browse_until(avahi, 2)
    assert {line.split(";")[4] for line in found} == {"Web Site", "FTP File Transfer"}
    place = f"printer.local;{OUTSIDE};"
    assert all(place in line for line in found)
    web = next(line for line in found if "Web Site" in line)
    assert f';8080;"version={VERSION_TEXT}" "product=Spinet"' in web
    assert resolved(avahi, "-n", "printer.local") == f"printer.local\t{OUTSIDE}\n"
    assert resolved(avahi, "-a", OUTSIDE) == f"{OUTSIDE}\tprinter.local\n"
    with socket.create_server(("", 0)) as server:  # and the other way round
        server.settimeout(PATIENCE)
        record = listen_or_connect(server.getsockname()[1]) + b"Shed.local"
        assert sim.ask(3, data=record)[0] == 0
        peer, (address, _) = server.accept()
        peer.close()
        assert address == OUTSIDE


def resolved(avahi, *question):
    """What avahi-resolve prints; when its own time-out ends it, it is run again."""
    limit = time.monotonic() + PATIENCE
    while not (answer := avahi("avahi-resolve", *question)):
        assert time.monotonic() < limit, f"{question} is not answered"
    return answer


def browse_until(avahi, count):
    """The resolved services, once there are so many."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        lines = avahi("avahi-browse", "-a", "-r", "-t", "-p").splitlines()
        found = [line for line in lines if line.startswith("=")]
        if len(found) >= count:
            return found
    raise AssertionError(lines)


def dig(*arguments):
    """dig's answer, one line each; "" and an exit code when there is none."""
    command = ("dig", "+time=20", "+tries=2", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_dig_is_answered_as_plain_dns(power_on):
    sim = power_on(b"printer")
    sim.said("known as printer.local")
    at = ("@127.0.0.1", "-p", "5353", "+short")
    assert dig(*at, "printer.local") == "127.0.0.1\n"
    assert dig(*at, "_http._tcp.local", "PTR") == "printer._http._tcp.local.\n"
    assert dig(*at, "printer._http._tcp.local", "SRV") == "0 0 8080 printer.local.\n"


def owners(answer):
    """Of dig's output: the names of its question and of what was answered, each as printed."""
    lines = [line.lstrip(";").split() for line in answer.splitlines()]
    return {line[0] for line in lines if "IN" in line}


@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        ("pRiNteR.LocAL", "A"),
        ("pRiNteR.LocAL", "AAAA"),
        ("_hTTp._tCp.locaL", "PTR"),
        ("PRINTER._hTTp._tCp.locaL", "SRV"),
        ("PRINTER._hTTp._tCp.locaL", "TXT"),
        ("1.0.0.127.iN-aDDr.ArPa", "PTR"),
    ],
)
def test_dig_is_answered_in_its_own_case(power_on, owner, kind):
    power_on(b"Printer").said("known as Printer.local")
    answer = dig("@127.0.0.1", "-p", "5353", "+norecurse", "+noadditional", owner, kind)
    assert "ANSWER: 1" in answer
    assert owners(answer) == {owner + "."}


@pytest.fixture
def access_point(network, start_sim):
    sim = start_sim("module-clocked", "--dns-port", str(DNS_PORT))
    sim.power_on()
    assert sim.ask(13, data=OWN_AP)[0] == 0
    assert sim.ask(15)[0] == 0
    sim.said("known as spinet.local")
    return sim


def test_every_name_leads_to_the_access_point(access_point):
    at = ("@127.0.0.1", "-p", str(DNS_PORT))
    for owner in ("example.org", "connectivity.example", "a." * 60 + "x"):
        assert dig(*at, "+short", owner) == "127.0.0.1\n"
    for kind in ("AAAA", "MX", "HTTPS"):
        answer = dig(*at, "example.org", kind)
        assert "status: NOERROR" in answer
        assert "ANSWER: 0" in answer
    assert "status: REFUSED" in dig(*at, "-c", "CH", "-t", "TXT", "version.bind")
    for kind in ("A", "ANY", "AAAA"):
        assert owners(dig(*at, "+norecurse", "+notcp", "eXamPLe.oRg", kind)) == {"eXamPLe.oRg."}


def test_names_end_with_the_access_point(access_point):
    access_point.ask(16)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:

        def is_free(*_):
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", DNS_PORT))
                return True
            return False

        access_point.ask_until(is_free, 0)  # each is a pass of its loop


def test_noise_does_not_end_it(access_point):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for noise in (b"", b"\0", bytes(12), b"\xff" * 600, b"\xc0\x0c" * 50, bytes(1400)):
            peer.sendto(noise, ("127.0.0.1", DNS_PORT))
    assert dig("@127.0.0.1", "-p", str(DNS_PORT), "+short", "example.org") == "127.0.0.1\n"


def test_a_port_that_is_in_use_is_said(network, start_sim):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", DNS_PORT))
        sim = start_sim("module-clocked", "--dns-port", str(DNS_PORT))
        sim.power_on()
        sim.ask(13, data=OWN_AP)
        sim.ask(15)
        sim.said("no DNS for the access point: error -8")
        assert sim.ask(9)[0] == 168
