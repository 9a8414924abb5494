"""The stories of WiFi come out as docs/wifi.md tells them."""

import itertools

import pytest
import wifi_stories
from sim_process import ROOT
from wifi_stories import BEGIN, END, STORIES, Player, row

from spinet import wire
from spinet.wlan import LEGAL

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
        assert after in LEGAL[before]
    assert player.bench.wlan.faults == 0


def test_outage_of_hours_ends_in_a_connection():
    (story,) = (story for story in STORIES if "two hours" in story.title)
    assert Player(story).states() == [
        *(wire.WIFI_IDLE, wire.WIFI_CONNECTING, wire.WIFI_CONNECTED),
        *(wire.WIFI_AUTO_RECONNECTING, wire.WIFI_RECONNECTING, wire.WIFI_CONNECTED),
    ]


def test_no_password_is_told():
    told = "".join(ROWS.values())
    assert wifi_stories.SECRET not in told
    assert "battery-staple" not in told
