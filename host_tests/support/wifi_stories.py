"""Stories of WiFi, played by SIM's scripted radio, and what a controller sees of each.

docs/wifi.md shows them as a table. `python host_tests/support/wifi_stories.py docs/wifi.md`
plays them and writes it; unit/wifi/test_stories.py plays them and compares.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE.parents[1] / "modules"), str(HERE / "stubs"), str(HERE)]

from fake_board import Bench  # noqa: E402 -- found through the path above
from raw_controller import request  # noqa: E402
from sim_air import Addresses, Air, AirRadio, Clock  # noqa: E402

from spinet import states  # noqa: E402
from spinet.duet.personality import NEWS_MS  # noqa: E402
from spinet.loop import _HOUSEKEEPING_MS  # noqa: E402

TICK_MS = 100
BEGIN, END = "<!-- stories -->", "<!-- end of the stories -->"
SECRET = "correct-horse"
WORKSHOP = f"0 appears Workshop password={SECRET} channel=6 rssi=-48"


def record(name, password=SECRET, ip=0):
    """A WirelessConfig."""
    head = ip.to_bytes(4, "little") + bytes(12)
    return head + name.encode().ljust(32, b"\0") + password.encode().ljust(64, b"\0")


class Story:
    """A script of the air, and what the controller asks for meanwhile: (second, command, data)."""

    def __init__(self, title, script, asks=(), start=b"Workshop", seconds=60, ip=0):
        self.title = title
        self.script = script
        self.asks = [(0, 10, record("Workshop", ip=ip)), (0, 10, record("Attic")), *asks]
        if start is not None:
            self.asks.insert(2, (0, 14, start))
        self.seconds = seconds


STORIES = (
    Story("The network is there.", WORKSHOP),
    Story(
        "Two access points have the name; the weaker one is broken, and is not chosen.",
        f"{WORKSHOP}\n0 appears Workshop#2 rssi=-80 refuses=yes",
    ),
    Story(
        "The stronger of two refuses: the second attempt leaves the choice to the radio.",
        f"{WORKSHOP} refuses=yes\n0 appears Workshop#2 password={SECRET} rssi=-80"
        "\n2.2 vanishes Workshop",
    ),
    Story("Wrong password.", "0 appears Workshop password=battery-staple"),
    Story("It is not there.", "0 appears Elsewhere"),
    Story("Its name is not remembered.", WORKSHOP, start=b"Elsewhere"),
    Story("It is hidden.", f"{WORKSHOP} hidden=yes"),
    Story("It refuses us.", f"{WORKSHOP} refuses=yes"),
    Story("It never answers.", f"{WORKSHOP} silent=yes"),
    Story("Its DHCP never answers.", f"{WORKSHOP} dhcp=no"),
    Story("The same, but our address is fixed.", f"{WORKSHOP} dhcp=no", ip=0x3201A8C0),
    Story(
        "The strongest known: Lobby is stronger, but not remembered.",
        f"{WORKSHOP}\n0 appears Lobby rssi=-20\n0 appears Attic password={SECRET} rssi=-70",
        start=b"",
    ),
    Story("The strongest known, and none is.", "0 appears Lobby rssi=-20", start=b""),
    Story(
        "The access point throws us out three times, an hour apart.",
        f"{WORKSHOP}\n3600 drops Workshop\n7200 drops Workshop\n10800 drops Workshop",
        seconds=4 * 3600,
    ),
    Story(
        "It is switched off for half a minute.",
        f"{WORKSHOP}\n600 vanishes Workshop\n630 appears Workshop",
        seconds=700,
    ),
    Story(
        "It is switched off for two hours; the controller asks for it again.",
        f"{WORKSHOP}\n600 vanishes Workshop\n7800 appears Workshop",
        asks=[(3600, 14, b"Workshop"), (7860, 14, b"Workshop")],
        seconds=3 * 3600,
    ),
    Story(
        "It is away for ten seconds, while the radio tries by itself.",
        f"{WORKSHOP}\n0 takes search=15000\n600 vanishes Workshop\n610 appears Workshop",
        seconds=700,
    ),
    Story(
        "It is replaced by another one of the same name, on another channel.",
        f"{WORKSHOP}\n600 vanishes Workshop\n600 appears Workshop#2 password={SECRET} channel=11",
        seconds=700,
    ),
    Story(
        "Its password is changed; the controller adds the new one and asks for it again.",
        f"{WORKSHOP}\n600 changes Workshop password=battery-staple\n600 drops Workshop",
        asks=[(660, 10, record("Workshop", "battery-staple")), (660, 14, b"Workshop")],
        seconds=700,
    ),
    Story(
        "It is away for twenty seconds and comes back with another password.",
        f"{WORKSHOP}\n600 vanishes Workshop\n620 appears Workshop password=battery-staple",
        seconds=700,
    ),
    Story(
        "After a power cut its DHCP does not answer any more.",
        f"{WORKSHOP}\n600 changes Workshop dhcp=no\n600 drops Workshop",
        seconds=700,
    ),
    Story(
        "After a power cut it does not answer at all.",
        f"{WORKSHOP}\n600 changes Workshop silent=yes\n600 drops Workshop",
        seconds=700,
    ),
    Story(
        "It comes back full and refuses us for twenty seconds.",
        f"{WORKSHOP}\n600 changes Workshop refuses=yes\n600 drops Workshop"
        "\n620 changes Workshop refuses=no",
        seconds=700,
    ),
    Story(
        "The strongest known: Workshop goes for good, Attic is in reach.",
        f"{WORKSHOP}\n0 appears Attic password={SECRET} rssi=-75\n600 vanishes Workshop",
        start=b"",
        seconds=700,
    ),
    Story(
        "The network is forgotten while it is away.",
        f"{WORKSHOP}\n600 vanishes Workshop",
        asks=[(620, 11, b"Workshop".ljust(32, b"\0"))],
        seconds=700,
    ),
    Story(
        "networkStop in the middle of an outage, and the network comes back.",
        f"{WORKSHOP}\n600 vanishes Workshop\n900 appears Workshop",
        asks=[(620, 16, b"")],
        seconds=3600,
    ),
    Story(
        "Our own access point, instead of a network that is not there.",
        "0 appears Elsewhere",
        asks=[(20, 13, record("Spinet", ip=0x0104A8C0)), (30, 15, b""), (60, 16, b"")],
        seconds=120,
    ),
)


class Player:
    """One story: the firmware's WiFi, the radio, and a controller that fetches what is news."""

    def __init__(self, story):
        self.clock = Clock()
        self.radio = AirRadio(Addresses, Air(story.script, self.clock))
        self.bench = Bench("module-clocked", radio=self.radio)
        self.asks = list(story.asks)
        self.seen = []  # (second, state, error), each time the controller was told
        self.moves = []  # (ms, state), of each change
        self._passed = 0
        self._set_state = self.bench.wlan.set_state
        self.bench.wlan.set_state = self._note_state
        for _ in range(story.seconds * 1000 // TICK_MS):
            self._tick()

    def _note_state(self, state):
        changes = self.bench.wlan.changes
        self._set_state(state)
        if self.bench.wlan.changes != changes:
            self.moves.append((self._passed, state))

    def _tick(self):
        bench = self.bench
        bench.manager.now = bench.rig.now = self.clock()
        while self.asks and self.asks[0][0] * 1000 <= self._passed:
            _, command, data = self.asks.pop(0)
            assert bench.response(command, data=data) == 0
        bench.wlan.poll(self.clock())
        if self._passed % _HOUSEKEEPING_MS == 0:
            bench.wlan.refresh(self.clock())
        if self._passed % NEWS_MS == 0 and bench.wlan.has_news():
            self._fetch_news()
        self.clock.pass_time(TICK_MS)
        self._passed += TICK_MS

    def _fetch_news(self):
        _, state, response, data = self.bench.rig.decode(self.bench.rig.transact(request(19)))
        self.seen.append((self._passed // 1000, state, data[: max(0, response - 1)].decode()))

    def reconnects(self):
        """As networkGetStatus has it."""
        return int.from_bytes(self.bench.ask(9)[1][152:156], "little")

    def states(self):
        """The states in their order, each once as long as it lasts."""
        passed = [states.WIFI_IDLE]
        for _, state, _ in self.seen:
            if state != passed[-1]:
                passed.append(state)
        return passed


def clock_text(seconds):
    """h:mm:ss"""
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def line(second, state, error):
    """One thing the controller is told."""
    told = f" “{error}”" if error else ""
    return f"{clock_text(second)} {states.WIFI_STATES[state]}{told}"


def row(story):
    """A line of the table."""
    player = Player(story)
    seen = "<br>".join(line(*each) for each in player.seen)
    return f"| {story.title} | {seen} | {player.reconnects()} |"


def table():
    """All of it."""
    head = [
        "| what happens | what the controller is told, at h:mm:ss | numReconnects |",
        "|---|---|---|",
    ]
    return "\n".join(head + [row(story) for story in STORIES])


def replaced(text, new):
    """The document with this table in it."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{new}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(replaced(document.read_text(), table()))
