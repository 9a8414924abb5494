"""The stories of WiFi come out as docs/wifi.md tells them."""

import itertools

import pytest
import wifi_stories
from project import ROOT
from wifi_stories import BEGIN, END, STORIES, Player, row

from spinet import states
from spinet.wifi.station import CONNECT_TIMEOUT_MS, REJOIN_TIMEOUT_MS
from spinet.wifi.wlan import LEGAL

LONGEST_MS = {
    states.WIFI_CONNECTING: CONNECT_TIMEOUT_MS,
    states.WIFI_AUTO_RECONNECTING: REJOIN_TIMEOUT_MS,
    states.WIFI_RECONNECTING: CONNECT_TIMEOUT_MS,
}
DOCUMENT = (ROOT / "docs" / "wifi.md").read_text()


def documented_rows():
    """The table's lines: title -> line."""
    text = DOCUMENT.partition(BEGIN)[2].partition(END)[0]
    lines = text.strip().split("\n")[2:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


ROWS = documented_rows()


def test_table_has_these_stories():
    assert list(ROWS) == [story.title for story in STORIES]


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_story(story):
    assert row(story) == ROWS[story.title], "make wifi-table writes the table"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_states_follow_each_other_legally(story):
    player = Player(story)
    for before, after in itertools.pairwise(player.states()):
        assert LEGAL[before] >> after & 1
    assert player.bench.wlan.faults == 0


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
@pytest.mark.behaviour("D19")
def test_no_story_keeps_its_controller_out(story):
    """In these states a controller can neither stop the module nor give it another password."""
    moves = [*Player(story).moves, (story.seconds * 1000, None)]
    for (begins, state), (ends, _) in itertools.pairwise(moves):
        assert ends - begins <= LONGEST_MS.get(state, ends)


def test_no_password_is_told():
    told = "".join(ROWS.values())
    assert wifi_stories.SECRET not in told
    assert "battery-staple" not in told
