"""CircuitPython's driver and SIM: WiFi, in air that changes."""

import contextlib
import socket
import time

import pytest
from circuitpython_rig import NETWORK, PASSWORD, libraries, stack, start_rig, until

__all__ = ["libraries", "stack", "start_rig"]

FAILED, LOST = 4, 6
QUICK = "0 takes scan=50 search=300 join=20 handshake=100 address=20\n"
THERE = f"{QUICK}0 appears {NETWORK} password={PASSWORD} channel=6 rssi=-48\n"
# The link is lost again and again: a test that is slow to join sees the next time.
DROPS = "".join(f"{second} drops {NETWORK}\n" for second in range(5, 600, 5))

on_sockets = pytest.mark.parametrize("stack", ["sockets"], indirect=True)


@pytest.fixture
def rig_in(start_rig, tmp_path):
    """rig_in(script) -> a driver in that air."""

    def start(script):
        (tmp_path / "air").write_text(script)
        return start_rig("--radio", "air")

    return start


@on_sockets
@pytest.mark.behaviour("A17", "A19")
def test_what_the_driver_tells_of_its_network(rig_in):
    rig = rig_in(THERE + "0 appears Guest channel=11 rssi=-80")
    esp = rig.esp
    assert esp.firmware_version == "1.8.0"
    assert not esp.is_connected
    assert esp.ip_address == bytes(4)
    assert esp.mac_address[:3] == b"\2SI"
    esp.set_hostname("shed")
    esp.set_dns_config("9.9.9.9", "8.8.8.8")
    rig.join()
    assert esp.ipv4_address == rig.address
    assert (esp.ap_info.ssid, esp.ap_info.rssi, esp.ap_info.authmode) == (NETWORK, -48, "WPA2")
    assert esp.ap_info.bssid[::-1] == b"\2SP\1\0\1"
    found = [(each.ssid, each.rssi, each.channel, each.authmode) for each in esp.scan_networks()]
    assert found == [(NETWORK, -48, 6, "WPA2"), ("Guest", -80, 11, "OPEN")]
    assert esp.is_connected
    esp.disconnect()
    assert esp.status == 0
    assert esp.ap_info is None


@on_sockets
@pytest.mark.parametrize(
    ("ssid", "password"), [(NETWORK, "battery-staple"), ("Elsewhere", PASSWORD)]
)
def test_join_that_fails_raises_and_the_next_one_works(rig_in, ssid, password):
    rig = rig_in(THERE)
    with pytest.raises(ConnectionError):
        rig.esp.connect_AP(ssid, password, timeout_s=0.01)  # of the driver's slow clock
    until(lambda: rig.esp.status == FAILED, "the join fails")
    rig.join()
    assert rig.esp.is_connected


@on_sockets
def test_fixed_address(rig_in):
    rig = rig_in(f"{THERE}0 changes {NETWORK} dhcp=no")
    rig.esp.set_ip_config("10.1.2.3", "10.1.2.1", "255.255.255.0")
    rig.join()
    assert rig.esp.is_connected


@on_sockets
@pytest.mark.behaviour("A21")
def test_access_point(rig_in):
    esp = rig_in(THERE).esp
    esp.create_AP("Spinet", "secret12", channel=6)
    assert esp.ap_listening
    esp.disconnect()
    assert esp.status == 0


@on_sockets
def test_enterprise_network(rig_in, libraries, monkeypatch):
    """It takes no login in which one field is wrong; and the right one by the driver's manager."""
    monkeypatch.setattr(libraries.wifi, "sleep", lambda _seconds: time.sleep(0.01))
    rig = rig_in(f"{QUICK}0 appears Campus identity=someone user=who password=plant3d-word\n")
    esp, login = rig.esp, ("someone", "who", "plant3d-word")
    for i in range(3):
        wrong = [b"plant3d-wrong" if j == i else login[j].encode() for j in range(3)]
        esp.wifi_set_network(b"Campus")
        esp.wifi_set_entidentity(wrong[0])
        esp.wifi_set_entusername(wrong[1])
        esp.wifi_set_entpassword(wrong[2])
        esp.wifi_set_entenable()
        until(lambda: esp.status == FAILED, "the login is refused")
    made, ident, user, password = libraries.wifi.WiFiManager, *login
    kind = made.ENTERPRISE
    names = {"enterprise_ident": ident, "enterprise_user": user}
    made(esp, "Campus", password, connection_type=kind, **names).connect()
    assert esp.ap_info.ssid == "Campus"
    assert not any("plant3d" in line for line in rig.sim.lines)


@pytest.mark.behaviour("A8")
def test_connections_and_servers_when_wifi_is_lost(rig_in):
    rig = rig_in(THERE + DROPS)
    rig.join()
    server = rig.esp.get_socket()
    rig.esp.start_server(8080, server)
    with socket.create_server((rig.peer, 0)) as listener:
        port = listener.getsockname()[1]
        sock = until(lambda: connected(rig, port), "a connection")
        until(lambda: not sock._connected(), "the connection is over")
    until(lambda: rig.esp.is_connected, "WiFi is back")
    until(lambda: served(rig, server), "the server serves again")


def connected(rig, port):
    """A socket, unless WiFi is lost just now."""
    with contextlib.suppress(OSError):
        return rig.connected(port)


def served(rig, server):
    """A client of the server is told to the driver, and its bytes arrive."""
    with contextlib.suppress(OSError), socket.create_connection((rig.address, 8080), 1) as peer:
        peer.sendall(b"hello")
        for _ in range(100):
            client = rig.esp.socket_available(server)
            if client != 255:
                return rig.esp.socket_read(client, 5) == b"hello"
            time.sleep(0.01)
    return False
