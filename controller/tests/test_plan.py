"""What a printer is called in each protocol."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spinet_controller.printer.plan import Naming, domain_names, mqtt_client_id
from spinet_controller.records import pack_host_name

NAMES = st.text(min_size=1, max_size=63).filter(lambda name: _is_host_name(name))


def _is_host_name(name):
    try:
        return bool(pack_host_name(name))
    except ValueError:
        return False


@pytest.mark.parametrize(
    ("name", "label", "topic"),
    [
        ("spinet-printer", "spinet-printer", "spinet-printer"),
        ("Printer #2", "Printer--2", "Printer -2"),
        ("T2+CW", "T2-CW", "T2-CW"),
        ("Büro 3D", "B--ro-3D", "Büro 3D"),
        ("Printer.lan", "Printer-lan", "Printer.lan"),
        ("hall/left", "hall-left", "hall-left"),
        ("$SYS", "SYS", "-SYS"),
        ("打印机", "spinet", "打印机"),
        ("\udcff\x1b", "spinet", "--"),
    ],
)
def test_each_form_of_a_name(name, label, topic):
    naming = Naming(name)
    assert (naming.label, naming.topic) == (label, topic)
    assert domain_names(naming.label) == (label, f"{label}.local")
    assert naming.is_own(f"{label}.local".lower(), "192.0.2.1")
    assert naming.is_own(f"{label}-2.local".lower(), "192.0.2.1")
    assert naming.is_own(name.lower(), "192.0.2.1")
    assert not naming.is_own("localhost", "192.0.2.1")


@given(NAMES)
def test_a_topic_is_one_level_that_a_client_may_publish_to(name):
    topic = Naming(name).topic
    assert topic.encode()
    assert not re.search(r"^\$|[+#/\0]", topic)


def test_a_client_id_is_the_module_s_own_and_in_the_form_that_every_broker_takes():
    one, other = mqtt_client_id("02:53:49:00:00:01"), mqtt_client_id("02:53:49:00:00:02")
    assert one != other
    assert re.fullmatch("[0-9A-Za-z]{1,23}", one)
