"""Listeners of the module as servers, and how new connections are found."""

import asyncio

import pytest
from fake_module import CONNECTED, FREE
from rig import PORT, Acceptor, eventually

from spinet_controller.codes import Command
from spinet_controller.errors import Refused
from spinet_controller.poller import Lookout
from spinet_controller.sockets import LONGEST, SHORTEST


async def test_a_server_listens_and_stops(rig):
    server = await rig.module.create_server(Acceptor(), PORT, protocol=2, max_connections=3)
    assert rig.firmware.listening == {PORT: (bytes(4), 2, 3)}
    assert server.is_serving()
    assert server.get_loop() is asyncio.get_running_loop()
    await server.start_serving()
    server.close()
    server.close()
    await server.wait_closed()
    assert rig.firmware.listening == {}
    assert not server.is_serving()


async def test_serve_forever_ends_with_its_task(rig):
    server = await rig.module.create_server(Acceptor(), PORT)
    serving = asyncio.create_task(server.serve_forever())
    await rig.module.null()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert rig.firmware.listening == {}


async def test_a_server_of_before_a_reset_stops_no_other_on_its_port(rig):
    old = await rig.module.create_server(Acceptor(), PORT)
    await rig.module.reset()
    async with await rig.module.create_server(Acceptor(), PORT):
        async with old:
            pass
        assert PORT in rig.firmware.listening
    assert rig.firmware.listening == {}


async def test_connections_outlive_their_server(rig):
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT) as server:
        slot = rig.slots[0].connect(PORT)
        peer = await acceptor.first()
        assert server.connections == {peer.transport}
    slot.feed(b"still here")
    await eventually(lambda: peer.received == b"still here", "the data")
    peer.transport.close()
    await peer.gone()
    assert server.connections == set()


@pytest.mark.parametrize(("end", "command"), [("close", 2), ("abort", 1)])
async def test_a_servers_clients_can_be_ended(rig, end, command):
    acceptor = Acceptor()
    async with await rig.module.create_server(acceptor, PORT) as server:
        for number in (0, 1):
            rig.slots[number].connect(PORT)
        await acceptor.nth(1)
        getattr(server, f"{end}_clients")()
        for peer in acceptor.made:
            assert await peer.gone() is None
        await eventually(lambda: rig.commands(command) == 2, "the commands")


async def test_each_port_has_its_own_protocols(rig):
    acceptors = {80: Acceptor(), 23: Acceptor()}
    for port, acceptor in acceptors.items():
        await rig.module.create_server(acceptor, port)
    rig.slots[0].connect(23)
    rig.slots[1].connect(80)
    telnet = await acceptors[23].first()
    http = await acceptors[80].first()
    assert telnet.transport.get_extra_info("sockname")[1] == 23
    assert http.transport.get_extra_info("sockname")[1] == 80


async def test_streams(each_rig):
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    async with await each_rig.module.start_server(echo, 7):
        slot = each_rig.slots[0].connect(7)
        said = []
        slot.closed = lambda: said.append(bytes(slot.sent))
        slot.feed(b"hello\n")
        await eventually(lambda: said, "the end")
    assert said == [b"hello\n"]


@pytest.mark.behaviour("D16")
async def test_a_listen_that_fails_later_is_an_error(rig):
    rig.firmware.listen_fails = True
    with pytest.raises(OSError, match="cannot listen on port 80: Listen failed"):
        await rig.module.create_server(Acceptor(), PORT)
    await rig.module.null()
    assert rig.poller.servers == {}
    rig.firmware.listen_fails = False
    await rig.module.create_server(Acceptor(), PORT)


async def test_other_news_at_a_listen_are_passed_on(rig):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.last_error = b"signal lost"
    await rig.module.create_server(Acceptor(), PORT)
    assert heard == ["signal lost"]


@pytest.mark.behaviour("D20")
async def test_news_of_a_network_that_is_called_so_is_no_failed_listen(rig):
    heard = []
    rig.module.on_news = heard.append
    listen = rig.firmware._listen

    def listen_and_tell(data):
        listen(data)
        rig.firmware.tell(b"Listening Post: reconnected")

    rig.firmware._listen = listen_and_tell
    await rig.module.create_server(Acceptor(), PORT)
    assert heard == ["Listening Post: reconnected"]


@pytest.mark.parametrize("wrong", [{"port": 0}, {"port": 65536}, {"max_connections": 0}])
async def test_what_no_server_can_be(rig, wrong):
    with pytest.raises(ValueError, match="a server needs"):
        await rig.module.create_server(Acceptor(), **{"port": 80, **wrong})


async def test_a_port_has_one_server(rig):
    await rig.module.create_server(Acceptor(), PORT)
    with pytest.raises(OSError, match="open already"):
        await rig.module.create_server(Acceptor(), PORT)


async def test_a_factory_that_raises_costs_one_connection(rig):
    rig.expected_reports = 1
    acceptor = Acceptor()
    faults = iter([RuntimeError("none for you")])

    def factory():
        for fault in faults:
            raise fault
        return acceptor()

    async with await rig.module.create_server(factory, PORT):
        rig.slots[0].connect(PORT)
        await eventually(lambda: rig.slots[0].state == FREE, "connAbort")
        rig.slots[0].connect(PORT)
        await acceptor.first()


# -- strangers --------------------------------------------------------------------------


@pytest.mark.behaviour("K3")
@pytest.mark.parametrize("end", ["reset", "abort"])
async def test_a_peer_that_was_reset_before_we_looked_is_aborted(rig, end):
    await rig.module.create_server(Acceptor(), PORT)
    getattr(rig.slots[4].connect(PORT), end)()
    await eventually(lambda: rig.slots[4].state == FREE, "connAbort")


async def test_a_peer_that_sent_and_left_before_we_looked_is_served(rig):
    acceptor = Acceptor()
    await rig.module.create_server(acceptor, PORT)
    slot = rig.slots[0].connect(PORT)
    slot.finish()
    peer = await acceptor.first()
    assert await peer.gone() is None
    assert peer.events == ["made", "eof", "lost"]


async def test_a_connection_to_a_port_that_is_nobodys_is_left_alone(rig):
    await rig.module.create_server(Acceptor(), PORT)
    slot = rig.slots[0].connect(2121)
    await rig.next_transactions(10)
    assert slot.state == CONNECTED


async def test_a_connection_that_comes_as_its_server_closes_is_aborted(rig):
    await rig.module.create_server(Acceptor(), 23)
    server = await rig.module.create_server(Acceptor(), PORT)
    server.close()
    await server.wait_closed()
    slot = rig.slots[0].connect(PORT)
    await eventually(lambda: slot.state == FREE, "connAbort")


async def test_a_connection_being_opened_is_no_stranger(rig):
    await rig.module.create_server(Acceptor(), 49152)
    rig.firmware.outgoing = lambda slot: setattr(slot, "state", CONNECTED)
    reader_writer = await rig.module.open_connection("192.0.2.1", 80)
    await rig.next_transactions(10)
    assert rig.slots[0].state == CONNECTED
    reader_writer[1].close()


PEM = b"-----BEGIN "


async def test_a_connection_with_tls_and_the_ca_it_trusts(rig):
    rig.firmware.outgoing = lambda slot: setattr(slot, "state", CONNECTED)
    options = {"tls": True, "server_name": "broker.example", "ca": b"-----BEGIN ca"}
    for _ in range(2):
        _reader, writer = await rig.module.open_connection("192.0.2.1", 8883, **options)
        assert rig.slots[0].tls
        assert rig.slots[0].name == "broker.example"
        writer.close()
        await writer.wait_closed()
    assert rig.firmware.ca == b"-----BEGIN ca"
    assert rig.commands(28) == 1  # what is stored wears the flash
    await rig.module.network_clear_tls()
    await rig.connect("192.0.2.1", 8883, **options)
    assert rig.commands(28) == 2


@pytest.mark.parametrize("forget", ["network_factory_reset", "network_set_tls_ca"])
async def test_a_ca_that_the_module_has_no_more_is_given_again(rig, forget):
    rig.firmware.outgoing = lambda slot: setattr(slot, "state", CONNECTED)
    options = {"tls": True, "server_name": "broker.example", "ca": PEM + b"ours"}
    await rig.connect("192.0.2.1", 8883, **options)
    await getattr(rig.module, forget)(*[PEM + b"other"] * (forget == "network_set_tls_ca"))
    rig.firmware.ca = None
    await rig.connect("192.0.2.1", 8883, **options)
    assert rig.firmware.ca == PEM + b"ours"


@pytest.fixture
def peers(rig):
    """Each outgoing connection stands; give the CA that it trusts."""
    trusted = []
    rig.firmware.outgoing = lambda slot: (
        trusted.append(rig.firmware.ca),
        setattr(slot, "state", CONNECTED),
    )
    return trusted


async def test_a_ca_that_the_module_refuses(rig, peers):
    heard = []
    rig.module.on_news = heard.append
    peer = ("broker.example", 8883)
    await rig.connect(*peer, tls=True, ca=PEM + b"ours")
    for _ in range(2):
        with pytest.raises(Refused, match="the module says: TLS CA: not in PEM"):
            await rig.connect(*peer, tls=True, ca=b"junk")
    await rig.connect(*peer, tls=True, ca=PEM + b"ours")
    assert peers == [PEM + b"ours"] * 2
    assert rig.commands(Command.NETWORK_SET_TLS_CERT) == 4
    assert not any(heard)


async def test_a_ca_in_text_is_the_same_as_in_bytes(rig, peers):
    for ca in ("-----BEGIN ours", PEM + b"ours"):
        await rig.connect("broker.example", 8883, tls=True, ca=ca)
    assert peers == [PEM + b"ours"] * 2
    assert rig.commands(Command.NETWORK_SET_TLS_CERT) == 1


async def test_a_ca_that_was_set_and_refused_is_not_the_one_that_the_module_has(rig, peers):
    await rig.module.network_set_tls_ca(b"junk", checked=False)
    with pytest.raises(Refused, match="TLS CA: not in PEM"):
        await rig.connect("broker.example", 8883, tls=True, ca=b"junk")


async def test_an_error_of_another_connection_is_no_refusal_of_the_ca(rig, peers):
    heard = []
    rig.module.on_news = heard.append
    keep = rig.firmware._keep_ca
    rig.firmware._keep_ca = lambda data: (keep(data), rig.firmware.tell(b"TLS: no common cipher"))
    await rig.connect("broker.example", 8883, tls=True, ca=PEM)
    assert [text for text in heard if text] == ["TLS: no common cipher"]


@pytest.mark.parametrize("takes", ["network_clear_tls", "network_set_tls_ca"])
async def test_a_ca_that_is_taken_away_just_after_it_was_given_is_given_again(rig, peers, takes):
    taking = []
    keep = rig.firmware._keep_ca

    def keep_and_take_away(data):
        rig.firmware._keep_ca = keep
        keep(data)
        arguments = [PEM + b"other"] * (takes == "network_set_tls_ca")
        taking.append(asyncio.create_task(getattr(rig.module, takes)(*arguments)))

    rig.firmware._keep_ca = keep_and_take_away
    await rig.connect("broker.example", 8883, tls=True, ca=PEM + b"ours")
    await taking[0]
    assert peers == [PEM + b"ours"]


async def test_each_connection_has_the_ca_that_it_trusts(rig):
    trusted = []
    rig.firmware.outgoing = lambda slot: (
        trusted.append((slot.name, rig.firmware.ca)),
        setattr(slot, "state", CONNECTED),
    )
    names = ("one.example", "two.example", "three.example")
    opening = [rig.connect(name, 8883, tls=True, ca=PEM + name.encode()) for name in names]
    await asyncio.gather(*opening)
    assert trusted == [(name, PEM + name.encode()) for name in names]


async def test_a_listen_failure_that_came_as_news_is_still_its_servers(rig):
    heard = []
    rig.module.on_news = heard.append
    rig.firmware.listen_fails = True
    listen = rig.firmware._listen

    def fail_and_tell_at_once(data):
        listen(data)
        text, rig.firmware.last_error = rig.firmware.last_error, b""
        asyncio.get_running_loop().call_soon(rig.module._news, text.decode())

    rig.firmware._listen = fail_and_tell_at_once
    with pytest.raises(OSError, match="port 80: Listen failed"):
        await rig.module.create_server(Acceptor(), PORT)
    assert "Listen failed" not in heard


async def test_new_connections_are_seen_while_another_is_busy(rig):
    acceptor = Acceptor()
    await rig.module.create_server(acceptor, PORT)
    busy = rig.slots[0].connect(PORT)
    busy.read = lambda most: bytes(most)
    first = await acceptor.first()
    rig.slots[1].connect(PORT)
    await acceptor.nth(1)
    first.transport.abort()


# -- how often --------------------------------------------------------------------------


class Watched:
    """What a Lookout needs of a poller."""

    def __init__(self):
        self.servers = {80: object()}
        self.noted = []

    def note_due(self, when):
        self.noted.append(when)


def test_the_lookout_waits_longer_while_nobody_comes():
    lookout = Lookout(Watched())
    waits = []
    for _ in range(30):
        lookout.bitmaps_came(0.0, strangers=0)
        waits.append(lookout.due)
    assert waits == sorted(waits)
    assert waits[0] == SHORTEST
    assert waits[-1] == LONGEST
    lookout.bitmaps_came(100.0, strangers=1)
    assert lookout.due == pytest.approx(100 + SHORTEST)


def test_nobody_looks_out_without_a_server():
    watched = Watched()
    watched.servers = {}
    lookout = Lookout(watched)
    lookout.bitmaps_came(1.0, strangers=0)
    assert lookout.next_request(1e9) is None


async def test_an_idle_module_without_sockets_is_left_in_peace(rig):
    server = await rig.module.create_server(Acceptor(), PORT)
    server.close()
    await server.wait_closed()
    await rig.module.null()
    await eventually(lambda: rig.poller._timer is None or not rig.poller.servers, "rest")
    before = rig.commands(Command.CONN_GET_STATUS)
    for _ in range(20):
        await rig.module.null()
    assert rig.commands(Command.CONN_GET_STATUS) <= before + 2


# -- calling home -----------------------------------------------------------------------


@pytest.mark.behaviour("C10")
async def test_a_connection_that_the_module_opened_is_served_like_any_other(rig):
    acceptor = Acceptor()
    server = await rig.module.create_call_home(acceptor, "home.example", PORT, attempts=3)
    assert rig.firmware.calling == {PORT: (bytes(4), 0, 1, 3, b"home.example")}
    slot = rig.slots[0].connect(PORT, remote=("192.0.2.7", PORT))
    slot.feed(b"status?")
    peer = await acceptor.first()
    await eventually(lambda: peer.received == b"status?", "the data")
    assert server.connections == {peer.transport}
    server.close()
    await server.wait_closed()
    assert rig.firmware.calling == {}
    assert not peer.transport.is_closing()


@pytest.mark.behaviour("C10")
async def test_calling_home_with_streams(rig):
    async def ask(reader, writer):
        writer.write(b"who are you?\n")
        said.append(await reader.readline())
        writer.close()

    said = []
    async with await rig.module.call_home(ask, "192.0.2.7", PORT):
        slot = rig.slots[0].connect(PORT)
        slot.feed(b"home\n")
        await eventually(lambda: said, "the answer")
    assert said == [b"home\n"]


async def test_a_call_home_that_is_refused_is_an_error(rig):
    rig.firmware.listen_fails = True
    with pytest.raises(OSError, match=r"cannot call 192\.0\.2\.7:80: Call home failed"):
        await rig.module.create_call_home(Acceptor(), "192.0.2.7", PORT)
    await rig.module.null()
    assert rig.poller.servers == {}


async def test_a_port_is_listened_on_or_called_not_both(rig):
    async with await rig.module.create_server(Acceptor(), PORT):
        with pytest.raises(OSError, match="is open already"):
            await rig.module.create_call_home(Acceptor(), "192.0.2.7", PORT)


@pytest.mark.parametrize(("port", "most"), [(0, 1), (65536, 1), (80, 0)])
async def test_calling_home_wants_a_port_and_a_connection(rig, port, most):
    with pytest.raises(ValueError, match="calling home needs"):
        await rig.module.create_call_home(Acceptor(), "192.0.2.7", port, max_connections=most)
