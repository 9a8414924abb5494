"""CircuitPython's driver and SIM: names, the time and ping, in a network with its own servers."""

import contextlib
from pathlib import Path

import pytest
from circuitpython_rig import NETWORK, PASSWORD, libraries, stack, start_rig, until
from lan_servers import NameServer, TimeServer, network_of_its_own, serve
from raw_controller import PATIENCE

__all__ = ["libraries", "network_of_its_own", "serve", "stack", "start_rig"]

pytestmark = pytest.mark.usefixtures("network_of_its_own")

SECONDS = 1_796_000_000
NOWHERE = {"sockets": "10.1.2.3", "lwip": "10.197.0.9"}
NO_ANSWER = 0xFFFF
OTHER = "127.0.0.2"
AIR = f"0 takes scan=50 search=300 join=20 address=20\n0 appears {NETWORK} password={PASSWORD}\n"
DROPS = "".join(f"{second} drops {NETWORK}\n" for second in range(1, 600))

on_sockets = pytest.mark.parametrize("stack", ["sockets"], indirect=True)


def found(rig, name):
    return rig.esp.pretty_ip(rig.esp.get_host_by_name(name))


def tried(work):
    """What it returns, unless the driver says that it failed."""
    with contextlib.suppress(OSError):
        return work()


@on_sockets
@pytest.mark.behaviour("A9")
def test_names_while_wifi_comes_and_goes(start_rig, serve, tmp_path):
    (tmp_path / "air").write_text(AIR + DROPS)
    rig = start_rig("--radio", "air")
    serve(NameServer(rig.peer, {"here.lan": "10.0.0.1"}))
    serve(NameServer(OTHER, {"here.lan": "10.0.0.2"}))
    rig.esp.set_dns_config(rig.peer, "0.0.0.0")  # before the join
    rig.join()
    for server, ip in ((OTHER, "10.0.0.2"), (rig.peer, "10.0.0.1")):
        assert found(rig, "here.lan") != ip
        until(lambda: not rig.esp.is_connected, "WiFi is lost")
        until(lambda: rig.esp.is_connected, "WiFi is back")
        assert found(rig, "here.lan") != ip
        rig.esp.set_dns_config(server, "0.0.0.0")  # after the join
        assert found(rig, "here.lan") == ip
    rig.esp.disconnect()
    rig.join()
    assert found(rig, "here.lan") == "10.0.0.1"


@on_sockets
@pytest.mark.behaviour("A6")
def test_a_name_server_that_is_silent(start_rig, serve):
    rig = start_rig()
    for ip in (rig.peer, OTHER):
        serve(NameServer(ip, {"here.lan": "10.0.0.1"}, silent=["silent.lan"]))
    rig.esp.set_dns_config(rig.peer, OTHER)
    rig.join()
    assert found(rig, "here.lan") == "10.0.0.1"
    with pytest.raises(ConnectionError):
        rig.esp.get_host_by_name("nowhere.lan")
    with pytest.raises(ConnectionError):  # the module's answer, and not the driver's patience
        rig.esp.get_host_by_name("silent.lan")
    assert rig.esp.firmware_version == "1.8.0"
    assert rig.esp.ping(rig.peer) != NO_ANSWER


@pytest.mark.behaviour("A6", "A15")
def test_the_time_and_ping(start_rig, serve, stack):
    rig = start_rig()
    pools = [f"{n}.adafruit.pool.ntp.org" for n in range(4)]
    serve(NameServer(rig.peer, dict.fromkeys(["pool.ntp.org", *pools], rig.peer)))
    rig.esp.set_dns_config(rig.peer, "0.0.0.0")
    rig.join()
    with pytest.raises(OSError, match="returned 0"):  # there is no such server yet
        rig.esp.get_time()
    server = serve(TimeServer(rig.peer, SECONDS))
    lies = [{"first": 0x23}, {"first": 0xE4}, {"stratum": 16}, {"cookie": bytes(8)}]
    server.lies = [{"seconds": 0}, *({"seconds": SECONDS - 86400, **lie} for lie in lies)]
    server.strangers = [SECONDS + 86400]
    (told,) = until(lambda: tried(rig.esp.get_time), "the time is known")
    assert SECONDS <= told < SECONDS + 3600

    ntp = rig.libraries.ntp.NTP(rig.pool, socket_timeout=PATIENCE)
    server.lies, server.strangers = [], []
    assert SECONDS <= ntp.utc_ns / 10**9 < SECONDS + 3600

    assert rig.esp.ping(rig.peer) != NO_ANSWER
    assert rig.esp.ping("pool.ntp.org", ttl=1) != NO_ANSWER
    assert rig.esp.ping(NOWHERE[stack]) == NO_ANSWER
    assert rig.esp.ping(rig.address) != NO_ANSWER
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 0")  # not with a raw socket
    assert rig.esp.ping(rig.peer) != NO_ANSWER
    rig.loses_nothing()
