"""The source index of a Debian suite: which release of a package it has today, and its checksum.

A stable suite replaces point releases by security updates, and the file that was pinned is gone
from the mirrors. The index is trusted as apt trusts it: its checksum is in a file Debian signed.
"""

import lzma
import re
import subprocess
import sys
import tempfile
import urllib.error
from dataclasses import replace
from pathlib import Path

from debian_source import NEED_PACKAGES, FetchError, Package, mirrors, sha256, transfer

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
SOURCES = "main/source/Sources.xz"


def current(package: Package, name: str, suite: str) -> Package:
    """`package` as the suite has it now. Raises FetchError.

    The suite's archive must end as the pinned one does, and its tree be called NAME-VERSION.
    """
    suffix = package.archive[package.archive.index(".orig.tar") :]
    refused = []
    for mirror in mirrors():
        try:
            with tempfile.TemporaryDirectory() as folder:
                text = sources(f"{mirror}/dists/{suite}", Path(folder))
            return replace(package, **newest(text, name, suffix))
        except (OSError, urllib.error.URLError, FetchError) as error:
            refused.append(f"{suite} at {mirror}: {error}")
    raise FetchError(f"{'; '.join(refused)}; {package.advice()}")


def sources(url: str, folder: Path) -> str:
    """The index, its checksum as the signed release file has it."""
    transfer("Downloading the release file", f"{url}/InRelease", folder / "InRelease")
    release = verified(folder / "InRelease")
    transfer("Downloading the source index", f"{url}/{SOURCES}", folder / "Sources.xz")
    expected = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(SOURCES)}$", release, re.M)
    if not expected or sha256(folder / "Sources.xz") != expected[1]:
        raise FetchError("the source index has not the checksum it should have")
    return lzma.open(folder / "Sources.xz", "rt", encoding="utf-8").read()


def verified(file: Path) -> str:
    """What Debian signed in that file. Raises FetchError.

    One good signature will do, as it does for apt: Debian signs with the keys of several releases,
    and a keyring may be older than the newest of them.
    """
    need_keyring()
    command = ["gpgv", "--status-fd", "2", "--keyring", KEYRING, "--output", "-", file]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    status = re.findall(r"^\[GNUPG:\] (\w+)", done.stderr, re.MULTILINE)
    # A text beside the signed one would be in the output as well.
    if "GOODSIG" not in status or "BADSIG" in status or status.count("PLAINTEXT") != 1:
        raise FetchError("the release file's signature cannot be verified")
    return done.stdout


def need_keyring() -> None:
    command = [
        NEED_PACKAGES,
        "Debian's signatures",
        "gpgv=gpgv",
        f"{KEYRING}=debian-archive-keyring",
    ]
    done = subprocess.run(
        command, check=False, stdout=sys.stderr, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise FetchError(done.stderr.strip())


def newest(text: str, name: str, suffix: str) -> dict:
    """What of a Package the index tells: the fields that depend on the release."""
    paragraph = re.search(rf"^Package: {re.escape(name)}$.*?(?=^$|\Z)", text, re.M | re.S)
    if not paragraph:
        raise FetchError(f"the source index has no {name}")
    pool = re.search(r"^Directory: (\S+)$", paragraph[0], re.M)
    file = rf"([0-9a-f]{{64}}) \d+ ({name}_(\S+?){re.escape(suffix)})"
    listed = re.search(rf"^Checksums-Sha256:(?:\n .*)*?\n {file}$", paragraph[0], re.M)
    if not pool or not listed:
        raise FetchError(f"the source index has no {name}_VERSION{suffix}")
    checksum, archive, version = listed.groups()
    return {
        "label": f"{name} {version}",
        "pool": pool[1],
        "archive": archive,
        "sha256": checksum,
        "tree": f"{name}-{version}",
    }
