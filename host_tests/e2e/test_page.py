"""The printer's page in a real browser."""

import re

import pytest
from playwright.sync_api import expect, sync_playwright
from printer_process import PATIENCE, ROOT, Printer, ended_in_order, pattern

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP rebound.example 127.0.0.1",
]


expect.set_options(timeout=1000 * PATIENCE)


@pytest.fixture
def page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_FLAGS, timeout=1000 * PATIENCE
        )
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        yield page
        browser.close()


def test_the_page_uploads_with_progress_and_downloads_the_same_bytes(printer, page, tmp_path):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    source = tmp_path / "part.gcode"
    source.write_bytes(pattern(3_000_000))

    page.goto(printer.url + "/")
    expect(page).to_have_title(re.compile("printer", re.IGNORECASE))
    held = []
    page.route("**/files/*", lambda route: held.append(route))
    with page.expect_request("**/files/*"):
        page.set_input_files("input[type=file]", str(source))
    expect(page.get_by_role("progressbar").first).to_be_visible()
    held.pop().continue_()
    page.unroute("**/files/*")
    link = page.get_by_role("link", name="part.gcode")
    expect(link).to_be_visible()

    with page.expect_download() as download:
        link.click()
    assert (tmp_path / "part.gcode").read_bytes() == download.value.path().read_bytes()
    assert problems == []


def test_the_page_shows_the_module_and_its_networks(full_printer, page):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(full_printer.url + "/")
    remembered, found = page.locator("#networks"), page.locator("#found")
    expect(remembered.get_by_text("Workshop")).to_be_visible()
    expect(remembered.get_by_text("joined")).to_be_visible()
    expect(page.locator("#services")).to_contain_text(f":{full_printer.ports['ftp']}/")
    expect(page.locator("#connections")).to_contain_text("http")
    expect(page.locator("#last-error")).to_have_text("none")

    page.get_by_role("button", name="Scan").click()
    expect(found.get_by_role("listitem")).to_have_count(3)
    found.get_by_role("button", name="Choose Attic").click()
    expect(page.get_by_label("Network")).to_have_value("Attic")
    page.get_by_label("Password").fill("never-to-be-seen")
    page.get_by_role("button", name="Remember").click()
    expect(remembered.get_by_text("Attic")).to_be_visible()
    expect(page.get_by_label("Password")).to_have_value("")

    page.on("dialog", lambda dialog: dialog.accept())
    remembered.get_by_role("button", name="Join Attic").click()
    row = remembered.get_by_role("listitem").filter(has_text="Attic")
    expect(row.get_by_text("joined")).to_be_visible()
    assert full_printer.status()["module"]["ssid"] == "Attic"

    remembered.get_by_role("button", name="Join Workshop").click()
    row = remembered.get_by_role("listitem").filter(has_text="Workshop")
    expect(row.get_by_text("joined")).to_be_visible()
    remembered.get_by_role("button", name="Forget Attic").click()
    expect(remembered.get_by_role("listitem")).to_have_count(1)
    expect(page.locator("#chart-out")).to_have_attribute("d", re.compile("^M.*L"))
    assert problems == []
    assert "never-to-be-seen" not in page.content()
    assert not full_printer.said("never-to-be-seen")


def test_a_name_of_another_site_shows_no_page(full_printer, page):
    port = full_printer.port
    answer = page.goto(f"http://rebound.example:{port}/")
    assert answer.status == 421
    asking = "fetch('/api/files').then(answer => answer.status)"
    assert page.evaluate(asking) == 421
    page.goto(full_printer.url + "/style.css")
    assert page.evaluate(asking) == 200


def test_the_script_of_the_documentation_is_one_to_begin_with(tmp_path):
    (script,) = re.findall(r"```\n(# seconds .*?)```", (ROOT / "docs/wifi.md").read_text(), re.S)
    (tmp_path / "air").write_text(script)
    printer = Printer("sockets", "module-clocked", tmp_path, SPINET_RADIO="air")
    assert printer.status()["module"]["ssid"] == "Workshop"
    ended_in_order(printer)


AIR = r"""0 takes scan=20 join=5 address=5
0 appears Workshop password=spinet-sim
0 appears \x0aGrö\xff\x20
"""


@pytest.mark.behaviour("D20")
def test_the_page_takes_a_network_of_any_name(page, tmp_path):
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    (tmp_path / "air").write_text(AIR)
    printer = Printer("sockets", "module-clocked", tmp_path, SPINET_RADIO="air")
    page.goto(printer.url + "/")
    remembered = page.locator("#networks")
    page.get_by_role("button", name="Scan").click()
    page.get_by_role("button", name=r"Choose \x0aGrö\xff").click()
    page.get_by_role("button", name="Remember").click()
    remembered.get_by_role("button", name=r"Join \x0aGrö\xff").click()
    row = remembered.get_by_role("listitem").filter(has_text=r"\x0aGrö\xff")
    expect(row.get_by_text("joined")).to_be_visible()
    assert printer.status()["module"]["ssid"] == "\nGrö\udcff "
    remembered.get_by_role("button", name="Join Workshop").click()
    expect(row.get_by_role("button", name="Join")).to_be_visible()
    row.get_by_role("button", name="Forget").click()
    expect(remembered.get_by_role("listitem")).to_have_count(1)
    ended_in_order(printer)
    assert problems == []
