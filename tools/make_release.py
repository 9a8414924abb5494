#!/usr/bin/env python3
"""Collect a release in BUILD/release: all files of it, a page that flashes them, and SHA256SUMS.

Images are those of the boards in BUILD/firmware; what else there is comes from `make dist`,
`make mip` and the npm packages of tools/web. The bytes depend on these alone: times are those of
SOURCE_DATE_EPOCH.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import struct
import sys
import tarfile
from pathlib import Path

from build_firmware import PROJECT, VERSION, VERSION_TEXT
from exit_code import exit_code
from make_image import NINA_BOARDS, NINA_NAME, BadParts, make, parts_of

FAMILIES = {"esp32": "ESP32", "esp32c3": "ESP32-C3", "esp32s3": "ESP32-S3"}
DESCRIPTION = struct.Struct(
    "<I12x32s"
)  # the start of ESP-IDF's esp_app_desc_t, 32 bytes into a program
DESCRIPTION_MAGIC = 0xABCD5432
INSTALLER = "esp-web-tools"
BUTTON = """<h2>%s</h2>
<esp-web-install-button manifest="%s">
  <span slot="unsupported">This browser has no Web Serial. Chromium, Chrome and Edge have it.</span>
  <span slot="not-allowed">Web Serial works over HTTPS or on localhost only.</span>
</esp-web-install-button>
<p>For %s.</p>"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=PROJECT / "build", help="where things go")
    build = parser.parse_args().build.resolve()
    epoch = int(os.environ["SOURCE_DATE_EPOCH"])
    return exit_code(lambda: collect(build, build / "release", epoch), BadParts)


def collect(build: Path, into: Path, epoch: int) -> None:
    """Make the folder anew. Raises BadParts for an image that is none, or of another version."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    builds = {board: add_images(build / "firmware" / board, into) for board in boards(build)}
    shutil.copytree(build / "mip", into / "mip")
    add_python(build / "dist", into, epoch)
    shutil.copy(PROJECT / "CHANGELOG.md", into)
    if builds:
        add_page(build / "web/node_modules", into, builds)
    else:
        print("There is no image: make firmware BOARD=... makes one", file=sys.stderr)
    sums = [f"{sha256(path)}  {path.relative_to(into)}\n" for path in files(into)]
    (into / "SHA256SUMS").write_text("".join(sums))
    print(f"The release {VERSION} is ready: {into}")


def boards(build: Path) -> list[str]:
    return sorted(path.parent.name for path in build.glob("firmware/*/flasher_args.json"))


def add_images(folder: Path, into: Path) -> dict:
    """Copy a board's images; its entry for a manifest."""
    chip, parts = parts_of(folder)
    (app,) = (part for part in parts if part.name == "app")
    found = version_of(app.data)
    if found != VERSION_TEXT:
        raise BadParts(f"{app.path} is of {found}, not of {VERSION_TEXT}: make firmware again")
    name = f"spinet-{VERSION}-{folder.name}"
    whole = make(folder)
    shutil.copy(whole, into / (f"{name}.nina.bin" if whole.name == NINA_NAME else whole.name))
    shutil.copy(app.path, into / f"{name}.app.bin")
    shutil.copy(folder / "firmware.bin", into / f"{name}.bin")
    part = {"path": f"{name}.bin", "offset": parts[0].offset}
    return {"chipFamily": FAMILIES[chip], "parts": [part]}


def version_of(program: bytes) -> str:
    """What a program tells of itself."""
    magic, version = DESCRIPTION.unpack_from(program.ljust(32 + DESCRIPTION.size), 32)
    return (
        version.rstrip(b"\0").decode("ascii", "replace")
        if magic == DESCRIPTION_MAGIC
        else "no version"
    )


def add_python(dist: Path, into: Path, epoch: int) -> None:
    for wheel in dist.glob("*.whl"):
        shutil.copy(wheel, into)
    for sdist in dist.glob("*.tar.gz"):
        (into / sdist.name).write_bytes(settled(sdist, epoch))


def settled(sdist: Path, epoch: int) -> bytes:
    """The same files, in an archive whose bytes do not tell when and by whom it was made."""
    out = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=out, mtime=epoch) as packed,
        tarfile.open(sdist) as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid = epoch, 0, 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isreg() else None)
    return out.getvalue()


def add_page(modules: Path, into: Path, builds: dict[str, dict]) -> None:
    """The page, its manifests, and the installer, whose bundle holds other packages."""
    shutil.copytree(modules / INSTALLER / "dist/web", into / INSTALLER)
    (into / INSTALLER / "LICENSES").write_text(licences(modules))
    shown = (path.name for path in files(into) if path.suffix in (".bin", ".gz", ".whl"))
    links = [f'<li><a href="{name}">{name}</a></li>' for name in shown]
    buttons = [
        BUTTON % (name, manifest, ", ".join(build["chipFamily"] for build in entries))
        for name, manifest, entries in choices(builds)
    ]
    for name, manifest, entries in choices(builds):
        (into / manifest).write_text(json.dumps(manifest_of(name, entries), indent=4) + "\n")
    page = (PROJECT / "tools/web/index.html").read_text().replace("@VERSION@", VERSION)
    page = page.replace("@FILES@", "\n".join(links)).replace("@BUTTONS@", "\n".join(buttons))
    (into / "index.html").write_text(page)


def choices(builds: dict[str, dict]) -> list[tuple[str, str, list[dict]]]:
    """(what is installed, its manifest's name, its builds): the page tells boards apart by their
    chip, so that a board for NINA's protocol needs a manifest of its own."""
    usual = [build for board, build in builds.items() if not board.startswith(NINA_BOARDS)]
    others = [board for board in builds if board.startswith(NINA_BOARDS)]
    found = [("Spinet", "manifest.json", usual)] if usual else []
    return found + [(product(board), f"manifest-{board}.json", [builds[board]]) for board in others]


def product(board: str) -> str:
    return json.loads((PROJECT / "boards" / board / "board.json").read_text())["product"]


def manifest_of(name: str, builds: list[dict]) -> dict:
    """As esp-web-tools wants it."""
    return {
        "name": name,
        "version": VERSION,
        "new_install_prompt_erase": True,  # the remembered networks may stay
        "new_install_improv_wait_time": 0,  # it has no Improv to wait for
        "builds": builds,
    }


def licences(modules: Path) -> str:
    """Those of the packages that the installer was bundled from."""
    lock = json.loads((PROJECT / "tools/web/package-lock.json").read_text())["packages"]
    texts = []
    for folder in sorted(needed(lock, f"node_modules/{INSTALLER}")):
        package = modules.parent / folder
        texts += [f"{folder.removeprefix('node_modules/')} {lock[folder]['version']}\n"]
        texts += [path.read_text() for path in sorted(package.glob("LICENSE*"))]
    return "\n".join(texts)


def needed(lock: dict, folder: str) -> set[str]:
    """The folders of a package and of all that it needs."""
    found, left = set(), [folder]
    while left:
        folder = left.pop()
        if folder not in found:
            found.add(folder)
            left += [f"node_modules/{name}" for name in lock[folder].get("dependencies", ())]
    return found


def files(into: Path) -> list[Path]:
    return sorted(path for path in into.rglob("*") if path.is_file())


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
