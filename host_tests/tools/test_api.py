"""docs/api.md: everything that the controller library exports, and nothing that is not there."""

import importlib.util
from pathlib import Path

import pytest

import spinet_controller

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make_api():
    """The tool."""
    spec = importlib.util.spec_from_file_location("make_api", ROOT / "tools" / "make_api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(make_api):
    assert make_api.PAGE.read_text() == make_api.page(), "make api"


def test_what_is_exported_is_on_the_page(make_api, monkeypatch):
    monkeypatch.setattr(spinet_controller, "__all__", [*spinet_controller.__all__, "frames"])
    with pytest.raises(RuntimeError, match="frames"):
        make_api.page()


def test_what_is_on_the_page_is_exported(make_api, monkeypatch):
    exported = [name for name in spinet_controller.__all__ if name != "Module"]
    monkeypatch.setattr(spinet_controller, "__all__", exported)
    with pytest.raises(RuntimeError, match="Module"):
        make_api.page()


def test_what_has_no_docstring_is_told(make_api, monkeypatch):
    monkeypatch.setattr(spinet_controller.Module.reset, "__doc__", None)
    monkeypatch.setattr(spinet_controller.Module, "__doc__", None)
    with pytest.raises(RuntimeError, match="has no docstring"):
        make_api.page()


def test_each_name_of_the_package_is_what_it_says():
    for name in spinet_controller.__all__:
        assert getattr(spinet_controller, name).__doc__, name
