"""The printer's page in a real browser."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright
from printer_process import pattern

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS
        )
        yield browser.new_page()
        browser.close()


def test_the_page_uploads_with_progress_and_downloads_the_same_bytes(printer, page, tmp_path):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    source = tmp_path / "part.gcode"
    source.write_bytes(pattern(3_000_000))

    page.goto(printer.url + "/")
    expect(page).to_have_title(re.compile("printer", re.IGNORECASE))
    page.set_input_files("input[type=file]", str(source))
    expect(page.get_by_role("progressbar").first).to_be_visible()
    link = page.get_by_role("link", name="part.gcode")
    expect(link).to_be_visible(timeout=60_000)

    with page.expect_download() as download:
        link.click()
    assert (tmp_path / "part.gcode").read_bytes() == download.value.path().read_bytes()
    assert problems == []
