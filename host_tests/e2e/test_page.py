"""The printer's page in a real browser."""

import http.server
import re
import threading

import pytest
from browser import browser_page
from playwright.sync_api import expect
from printer_process import (
    PATIENCE,
    MadePrinter,
    Printer,
    ended_in_order,
    eventually,
    pattern,
)
from project import ROOT


@pytest.fixture
def page():
    with browser_page() as page:
        yield page


def test_the_page_uploads_with_progress_and_downloads_the_same_bytes(printer, page, tmp_path):
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


def test_the_page_shows_the_module_and_its_networks(full_printer, page):
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


def make_run(folder, **environment):
    """`make run` with the script of docs/wifi.md as its radio."""
    (script,) = re.findall(r"```\n(# seconds .*?)```", (ROOT / "docs/wifi.md").read_text(), re.S)
    (folder / "air").write_text(script)
    return MadePrinter("sockets", "module-clocked", folder, SPINET_RADIO="air", **environment)


def test_make_run_with_the_script_of_the_documentation(tmp_path):
    printer = make_run(tmp_path, SPINET_PASSWORD="for-no-network")
    assert printer.status()["module"]["ssid"] == "Workshop"
    assert printer.said("(SPINET_PASSWORD) is not used: --ssid names its network (make run: SSID)")
    assert not printer.said("for-no-network")
    ended_in_order(printer)


def test_make_run_with_a_network_and_its_password(tmp_path):
    printer = make_run(tmp_path, SSID="Workshop", SPINET_PASSWORD="spinet-sim")
    assert printer.status()["module"]["ssid"] == "Workshop"
    assert not printer.said("is not used")
    ended_in_order(printer)


AIR_OF_REFUSAL = """0 takes scan=20 join=300 address=5 handshake=20
0 appears Workshop password=spinet-sim
0 appears Attic password=another-one
"""


def test_joining_is_told_and_what_became_of_it(page, tmp_path):
    (tmp_path / "air").write_text(AIR_OF_REFUSAL)
    printer = Printer("sockets", "module-clocked", tmp_path, SPINET_RADIO="air")
    page.goto(printer.url + "/")
    remembered = page.locator("#networks")
    expect(remembered.get_by_text("joined", exact=True)).to_be_visible()

    page.get_by_label("Network", exact=True).fill("Attic")
    page.get_by_label("Password").fill("seven77")
    page.get_by_role("button", name="Remember").click()
    told = "bad password: 8 to 63 characters, or 64 hexadecimal digits"
    expect(page.get_by_role("alert")).to_contain_text(told)
    page.get_by_label("Password").fill("not-the-right-one")
    page.get_by_role("button", name="Remember").click()
    row = remembered.get_by_role("listitem").filter(has_text="Attic")
    expect(row).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()

    page.route("**/api/status", lambda route: route.abort())
    row.get_by_role("button", name="Join").click()
    expect(row).to_contain_text("joining")
    expect(row.get_by_role("button", name="Join")).to_be_disabled()
    expect(page.locator("#state")).to_have_text("joining Attic")
    page.unroute("**/api/status")
    expect(row).to_contain_text("not joined: the module says: Attic: wrong password")
    expect(row.get_by_role("button", name="Join")).to_be_enabled()
    expect(page.locator("#state")).to_have_text("connected")
    expect(remembered.get_by_text("joined", exact=True)).to_be_visible()

    page.get_by_label("Network", exact=True).fill("Attic")
    page.get_by_label("Password").fill("another-one")
    page.get_by_role("button", name="Remember").click()
    row.get_by_role("button", name="Join").click()
    expect(row.get_by_text("joined", exact=True)).to_be_visible()
    expect(row).not_to_contain_text("not joined")
    expect(page.get_by_role("alert")).to_be_hidden()
    ended_in_order(printer)


def test_an_alert_goes_when_it_is_no_longer_true(full_printer, page):
    page.route("**/api/*", lambda route: route.abort())
    page.goto(full_printer.url + "/")
    expect(page.locator("#state")).to_have_text("not reachable")
    page.unroute("**/api/*")
    page.route("**/api/networks", lambda route: route.abort())
    expect(page.get_by_role("alert")).to_have_text("The printer cannot be reached.")
    page.unroute("**/api/networks")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#networks").get_by_text("Workshop")).to_be_visible()

    path = full_printer.make_file("gone.gcode", 10)
    page.clock.install()
    delete = page.get_by_role("button", name="Delete gone.gcode")
    page.route("**/files/*", lambda route: route.fulfill(status=404, body='{"error": "no file"}'))
    delete.click()
    expect(page.get_by_role("alert")).to_have_text("gone.gcode was not deleted: no file")
    page.clock.fast_forward(20_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    path.unlink()
    expect(delete).to_have_count(0)


def test_a_failed_upload_can_be_dismissed(full_printer, page, tmp_path):
    source = tmp_path / ".hidden"
    source.write_bytes(b"x")
    page.goto(full_printer.url + "/")
    page.set_input_files("input[type=file]", str(source))
    uploads = page.locator("#uploads").get_by_role("listitem")
    expect(uploads).to_contain_text("must not be empty or begin with a dot")
    uploads.get_by_role("button", name="Dismiss .hidden").click()
    expect(uploads).to_have_count(0)


def test_services_are_links_and_the_chart_has_its_time(full_printer, page):
    page.goto(full_printer.url + "/")
    for name in ("https", "ftp", "telnet"):
        url = f"{name}://127.0.0.1:{full_printer.ports[name]}/"
        expect(page.locator("#services").get_by_role("link", name=url)).to_have_attribute(
            "href", url
        )
    expect(page.locator(".axis span")).to_have_text(["2 min ago", "1 min ago", "now"])
    now = re.compile(r"^M.*L120\.00 [\d.]+$")
    expect(page.locator("#chart-out")).to_have_attribute("d", now)


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TOO_SMALL = """elements => elements
    .filter(one => one.id !== "choose" && one.getClientRects().length)
    .map(one => [one.outerHTML, one.getBoundingClientRect(), getComputedStyle(one).fontSize])
    .filter(([html, box, size]) => box.width < 44 || box.height < 44
        || html.startsWith("<input") && parseFloat(size) < 16)
    .map(([html]) => html)"""


def test_what_is_touched_is_large_enough_on_a_phone(full_printer, page):
    full_printer.make_file("a", 10)
    page = page.context.browser.new_page(**PHONE)
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(full_printer.url + "/")
    expect(page.get_by_role("link", name="a", exact=True)).to_be_visible()
    expect(page.locator("#networks").get_by_text("Workshop")).to_be_visible()
    expect(page.locator("#services a")).to_have_count(4)
    page.get_by_role("button", name="Scan").click()
    expect(page.locator("#found").get_by_role("listitem")).to_have_count(3)
    targets = page.locator("button, a, input, select, textarea, label.drop")
    assert targets.evaluate_all(TOO_SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.fixture
def foreign_origin():
    """The URL of an empty page that is another server's."""
    handler = http.server.BaseHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        handler = type("Empty", (handler,), {"do_GET": _empty, "log_message": lambda *_: None})
        server.RequestHandlerClass = handler
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join(PATIENCE)


def _empty(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


POST = """([url, body]) => fetch(url, {method: "POST", mode: "no-cors", body}).catch(() => null)"""


@pytest.mark.parametrize(
    ("service", "body"),
    [("telnet", "delete victim\r\n"), ("ftp", "USER me\r\nDELE victim\r\n")],
)
def test_a_page_of_another_origin_runs_no_commands(
    full_printer, page, foreign_origin, service, body
):
    victim = full_printer.make_file("victim", 10)
    page.goto(foreign_origin)
    page.evaluate(POST, [f"http://{full_printer.host}:{full_printer.ports[service]}/", body])
    eventually(lambda: full_printer.status()["sockets"]["used"] <= 1, "the session's end")
    assert victim.exists()


AIR = r"""0 takes scan=20 join=5 address=5
0 appears Workshop password=spinet-sim
0 appears \x0aGrö\xff\x20
"""


@pytest.mark.behaviour("D20")
def test_the_page_takes_a_network_of_any_name(page, tmp_path):
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
