"""Set-up on systems of several kinds: where sources come from, which packages are asked for."""

import functools
import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest
from project import ROOT

sys.path.insert(0, str(ROOT / "tools"))

import debian_index
import debian_source
import fetch_lwip
import fetch_mbedtls
from debian_source import FetchError, NotThere, Package, Submodule

# --- a system with apt

# Each behaves as the real one with what is asked of it here. Packages are files of archive/; each
# line of one is a file that it installs, or a command if it has no slash.
FAKES = {
    "id": 'cat "$SYSTEM/uid"',
    "apt-get": """
        word=$1 lists=$SYSTEM/lists
        fail() { echo "E: $1" >&2; exit 100; }
        case $word in
        update)
            [ "$(id -u)" = 0 ] || fail "Could not open lock file (13: Permission denied)"
            cp "$SYSTEM/origins" "$lists" ;;
        indextargets) [ ! -e "$lists" ] || cat "$lists" ;;
        install)
            [ "$(id -u)" = 0 ] || fail "Unable to acquire the dpkg frontend lock; are you root?"
            for name; do
                case $name in install | -*) continue ;; esac
                [ -e "$lists" ] && [ -e "$SYSTEM/archive/$name" ] ||
                    fail "Unable to locate package $name"
                while read -r file; do
                    case $file in
                    */*) mkdir -p "${file%/*}" && cp "$SYSTEM/template" "$file" ;;
                    *) printf '#!/bin/sh\n' >"$SYSTEM/bin/$file" && chmod +x "$SYSTEM/bin/$file" ;;
                    esac
                done <"$SYSTEM/archive/$name"
                : >"$SYSTEM/installed/$name"
            done ;;
        *) fail "Invalid operation $word" ;;
        esac""",
    "apt-cache": """
        [ "$1" = policy ] || exit 100
        name=$2 candidate='(none)' installed='(none)'
        [ ! -e "$SYSTEM/installed/$name" ] || installed=1.0 candidate=1.0
        [ ! -e "$SYSTEM/lists" ] || [ ! -e "$SYSTEM/archive/$name" ] || candidate=1.0
        # A name that nothing provides or recommends is not even repeated.
        [ "$candidate" = 1.0 ] || [ -e "$SYSTEM/heard/$name" ] || exit 0
        case ${LC_ALL:-$LANG} in
        C) printf '%s:\n  Installed: %s\n  Candidate: %s\n' "$name" "$installed" "$candidate" ;;
        *) printf '%s:\n  Installiert: %s\n  Installationskandidat: %s\n' \
            "$name" "$installed" "$candidate" ;;
        esac""",
    "dpkg-query": """
        [ "$1 $2 $3" = '-W -f ${db:Status-Abbrev}' ] || exit 2
        [ -e "$SYSTEM/installed/$4" ] || {
            echo "dpkg-query: no packages found matching $4" >&2; exit 1; }
        printf 'ii '""",
}
TOOLS = ("cat", "chmod", "cp", "cut", "dirname", "env", "mkdir", "rm", "sed", "sh", "sha256sum")
TOOLS += ("tail", "tr")


class System:
    """A computer with a Linux of some kind: its commands, its apt, its user."""

    def __init__(self, folder, monkeypatch):
        self._folder = folder
        self._monkeypatch = monkeypatch
        for name in ("bin", "archive", "installed", "heard"):
            (folder / name).mkdir()
        for tool in TOOLS:
            (folder / "bin" / tool).symlink_to(shutil.which(tool))
        self.templates = folder / "templates"
        self.say("id", FAKES["id"])
        self.become(1000)
        monkeypatch.setenv("PATH", str(folder / "bin"))
        monkeypatch.setenv("SYSTEM", str(folder))
        monkeypatch.setenv("LANG", "de_DE.UTF-8")
        for name in ("SOURCES", "MICROPY_DIR", "LC_ALL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(debian_source, "TEMPLATES", self.templates)
        monkeypatch.setattr(debian_source, "CERTIFICATES", folder / "uid")  # it is there

    def say(self, command, script):
        """Have a command that runs this shell script."""
        path = self._folder / "bin" / command
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def become(self, uid):
        (self._folder / "uid").write_text(str(uid))
        self._monkeypatch.setattr(os, "geteuid", lambda: uid)

    def apt(self, *origins, **packages):
        """Have apt, with `ORIGIN URI` of its lists once they are fetched, and {package: files}."""
        for name in ("apt-get", "apt-cache", "dpkg-query"):
            self.say(name, FAKES[name])
        (self._folder / "origins").write_text("".join(f"{line}\n" for line in origins))
        for name, files in packages.items():
            self.offer(name.replace("_", "-"), *files)
        return self

    def offer(self, package, *files):
        (self._folder / "archive" / package).write_text("".join(f"{file}\n" for file in files))

    def hear_of(self, package):
        """Others speak of the package, which apt has not."""
        (self._folder / "heard" / package).touch()

    def python_apt(self, mirror, name="Debian.info"):
        """Offer the package that tells where Debian is, in a file of that name."""
        text = f"Suite: {{series}}\nRepositoryType: deb\nBaseURI: {mirror}\nMatchURI: x\n"
        (self._folder / "template").write_text(text)
        self.offer("python-apt-common", self.templates / name)

    def as_root(self, advice):
        """Do what a person was told to."""
        (told,) = re.findall(r"sudo (apt-get [^;,]*)", advice) or [""]
        assert told, f"no advice in: {advice}"
        self.become(0)
        subprocess.run(["sh", "-ec", told.replace("sudo ", "")], check=True)
        self.become(1000)


@pytest.fixture
def system(tmp_path, monkeypatch):
    folder = tmp_path / "system"
    folder.mkdir()
    return System(folder, monkeypatch)


# --- where an archive comes from

SUBMODULE = Submodule("lib/thing", "thing.h", re.compile("VERSION 2"))


def thing(sha256="", submodule=None):
    return Package(
        "thing 2", "pool/main/t/thing", "thing_2.orig.tar.xz", sha256, "thing-2", submodule
    )


@pytest.fixture
def package(tmp_path):
    """A package, and its archive at a mirror's place under tmp_path/mirror."""
    archive = tmp_path / "mirror" / "pool/main/t/thing/thing_2.orig.tar.xz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:xz") as tar:
        header = tarfile.TarInfo("thing-2/thing.h")
        header.size = 4
        tar.addfile(header, io.BytesIO(b"tar\n"))
    return thing(hashlib.sha256(archive.read_bytes()).hexdigest(), SUBMODULE)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(tmp_path, package):
    """The URL of a Debian mirror."""
    handler = functools.partial(Quiet, directory=tmp_path / "mirror")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def fetched(package, tmp_path):
    """What the header of the fetched source says."""
    build = tmp_path / "build"
    source = debian_source.unpacked(package, build, build / "thing", lambda tree: None)
    assert not list(build.rglob("*.part"))
    return (source / "thing.h").read_text()


def refusal(package, tmp_path):
    with pytest.raises(FetchError) as refused:
        fetched(package, tmp_path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_debian_is_asked_where_apt_has_it(system, package, mirror, tmp_path):
    system.apt(f"Debian {mirror}")
    advice = refusal(package, tmp_path)
    assert "apt has no package lists yet: run sudo apt-get update" in advice
    system.as_root(advice)
    assert fetched(package, tmp_path) == "tar\n"


def test_root_needs_no_advice_on_debian(system, package, mirror, tmp_path):
    system.apt(f"Debian {mirror}").become(0)
    assert fetched(package, tmp_path) == "tar\n"


@pytest.mark.parametrize("name", ["Debian.info", "debian.info"], ids=["24.04", "26.04"])
def test_ubuntus_apt_does_not_name_debian_but_python_apt_does(
    system, package, mirror, tmp_path, name
):
    """Each advice is given once, and the last one helps."""
    system.apt("Ubuntu http://127.0.0.1:1/ubuntu/").python_apt(mirror, name)
    system.as_root(refusal(package, tmp_path))
    advice = refusal(package, tmp_path)
    assert "sudo apt-get update && sudo apt-get install python-apt-common;" in advice
    system.as_root(advice)
    assert fetched(package, tmp_path) == "tar\n"


def test_root_needs_no_advice_on_ubuntu(system, package, mirror, tmp_path):
    system.apt("linuxmint http://127.0.0.1:1/", "Ubuntu http://127.0.0.1:1/").python_apt(mirror)
    system.become(0)
    assert fetched(package, tmp_path) == "tar\n"


def test_a_system_without_apt(system, package, mirror, tmp_path, monkeypatch):
    said = refusal(package, tmp_path)
    assert (
        "there is no apt here that names a Debian mirror; SOURCES may name a Debian mirror" in said
    )
    monkeypatch.setenv("SOURCES", mirror)
    assert fetched(package, tmp_path) == "tar\n"


def test_a_folder_with_the_archive(system, package, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCES", str(tmp_path / "mirror/pool/main/t/thing"))
    assert fetched(package, tmp_path) == "tar\n"


def test_another_file_of_that_name_is_refused(system, package, tmp_path, monkeypatch):
    (tmp_path / package.archive).write_text("something else")
    monkeypatch.setenv("SOURCES", str(tmp_path))
    assert f"{package.archive} has not the checksum it should have" in refusal(package, tmp_path)
    assert not (tmp_path / "build/thing").exists()


def test_what_no_mirror_has_is_told_from_no_mirror(system, package, mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCES", mirror.rstrip("/"))
    system.apt(f"Debian {mirror}").become(0)
    (tmp_path / "mirror" / package.pool / package.archive).unlink()
    with pytest.raises(NotThere, match=r"404.*404.*SOURCES may name"):
        fetched(package, tmp_path)


def test_the_suite_is_asked_only_where_mirrors_are(system, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch_mbedtls, "PACKAGE", thing())
    with pytest.raises(FetchError, match="no apt here"):
        fetch_mbedtls.fetch(tmp_path / "build")
    assert capsys.readouterr().err == ""


# --- a checkout's submodules


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """checkout(text): a MicroPython checkout whose lib/thing has that header; none: is empty."""

    def make(text=None):
        folder = tmp_path / "micropython/lib/thing"
        folder.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (folder / "thing.h").write_text(text)
            (folder / ".git").write_text("gitdir: ../../.git/modules/lib/thing\n")
        monkeypatch.setenv("MICROPY_DIR", str(tmp_path / "micropython"))

    return make


def test_a_submodule_is_copied_without_a_network(system, package, tmp_path, checkout):
    checkout("VERSION 2\n")
    assert fetched(package, tmp_path) == "VERSION 2\n"
    assert not (tmp_path / "build/thing/.git").exists()


def test_a_submodule_of_another_version_is_not_taken(
    system, package, mirror, tmp_path, monkeypatch, checkout
):
    checkout("VERSION 1\n")
    said = refusal(package, tmp_path)
    assert "submodule update" not in said, "that would fetch the same version again"
    monkeypatch.setenv("SOURCES", mirror)
    assert fetched(package, tmp_path) == "tar\n"


def test_an_empty_submodule_is_advised_to_be_fetched(system, package, tmp_path, checkout):
    checkout()
    folder = tmp_path / "micropython"
    assert f"git -C {folder} submodule update --init lib/thing" in refusal(package, tmp_path)


@pytest.mark.parametrize(
    ("submodule", "text", "fits"),
    [
        (fetch_lwip.PACKAGE.submodule, (2, 2, 1), True),
        (fetch_lwip.PACKAGE.submodule, (2, 1, 3), False),
        (fetch_lwip.PACKAGE.submodule, (2, 2, 10), False),
        (fetch_mbedtls.PACKAGE.submodule, (3, 6, 2), True),
        (fetch_mbedtls.PACKAGE.submodule, (2, 28, 8), False),
    ],
)
def test_versions_of_submodules(submodule, text, fits, tmp_path, monkeypatch):
    """The headers say them as lwIP's and mbedTLS's do."""
    header = tmp_path / submodule.folder / submodule.header
    header.parent.mkdir(parents=True)
    lwip = "#define LWIP_VERSION_MAJOR      {}\n/** x */\n#define LWIP_VERSION_MINOR      {}\n"
    lwip += "#define LWIP_VERSION_REVISION   {}\n"
    mbedtls = '#define MBEDTLS_VERSION_STRING         "{}.{}.{}"\n'
    header.write_text((lwip + mbedtls).format(*text, *text))
    monkeypatch.setenv("MICROPY_DIR", str(tmp_path))
    assert (submodule.checked_out() is not None) == fits


# --- an index that Debian signed

SUFFIX = ".orig.tar.bz2"
INDEX = f"""Package: mbedtls-docs
Directory: pool/main/m/mbedtls-docs
Checksums-Sha256:
 {"1" * 64} 10 mbedtls_9.9.9.orig.tar.bz2

Package: mbedtls
Files:
 {"2" * 32} 5508046 mbedtls_3.6.7.orig.tar.bz2
Checksums-Sha256:
 {"3" * 64} 2345 mbedtls_3.6.7-1.dsc
 {"4" * 64} 5508046 mbedtls_3.6.7.orig.tar.bz2
 {"5" * 64} 17000 mbedtls_3.6.7-1.debian.tar.xz
Directory: pool/main/m/mbedtls

Package: mbw
Directory: pool/main/m/mbw
"""


def test_the_release_that_a_suite_has():
    assert debian_index.newest(INDEX, "mbedtls", SUFFIX) == {
        "label": "mbedtls 3.6.7",
        "pool": "pool/main/m/mbedtls",
        "archive": "mbedtls_3.6.7.orig.tar.bz2",
        "sha256": "4" * 64,
        "tree": "mbedtls-3.6.7",
    }


@pytest.mark.parametrize(("name", "suffix"), [("mbed", SUFFIX), ("mbedtls", ".orig.tar.gz")])
def test_what_a_suite_does_not_have(name, suffix):
    with pytest.raises(FetchError, match="the source index has no"):
        debian_index.newest(INDEX, name, suffix)


def test_a_release_file_that_nobody_signed(tmp_path):
    file = tmp_path / "InRelease"
    file.write_text("SHA256:\n " + "0" * 64 + " 1 main/source/Sources.xz\n")
    with pytest.raises(FetchError, match="signature"):
        debian_index.verified(file)


GOOD = "GOODSIG 6ED0E7B82643E131 Debian Archive Automatic Signing Key (12/bookworm)"
UNKNOWN = "ERRSIG 78DBA3BC47EF2265 1 8 01 1795252581 9 B8E5F13176D2A7A75220028078DBA3BC47EF2265"
BAD = "BADSIG 6ED0E7B82643E131 Debian Archive Automatic Signing Key (12/bookworm)"
TEXT = "PLAINTEXT 74 0 "


@pytest.mark.parametrize(
    ("status", "code", "believed"),
    [
        ((TEXT, GOOD), 0, True),
        ((TEXT, GOOD, UNKNOWN, UNKNOWN), 2, True),  # with the keyring of an older release
        ((TEXT, UNKNOWN), 2, False),
        ((TEXT, GOOD, BAD), 1, False),
        ((TEXT, TEXT, GOOD), 2, False),
        ((), 2, False),
    ],
)
def test_one_good_signature_will_do(system, tmp_path, monkeypatch, status, code, believed):
    """gpgv writes the text out and fails, where it lacks the key of any signature."""
    lines = "".join(f"echo '[GNUPG:] {line}' >&2\n" for line in status)
    system.say("gpgv", f"echo signed\n{lines}exit {code}")
    monkeypatch.setattr(debian_index, "KEYRING", tmp_path / "system/uid")  # it is there
    if believed:
        assert debian_index.verified(tmp_path / "InRelease") == "signed\n"
    else:
        with pytest.raises(FetchError, match="signature cannot be verified"):
            debian_index.verified(tmp_path / "InRelease")


def test_debian_13_has_no_gpgv_unless_asked_for(system, tmp_path, monkeypatch):
    system.apt("Debian http://127.0.0.1:1/", gpgv=["gpgv"])
    monkeypatch.setattr(debian_index, "KEYRING", tmp_path / "system/uid")
    with pytest.raises(FetchError, match=r"Debian's signatures: .*sudo apt-get install gpgv"):
        debian_index.verified(tmp_path / "InRelease")


# --- packages of the system

QEMU = "qemu-system-riscv32=qemu-system-riscv|qemu-system-misc"
DEBIAN = "Debian http://127.0.0.1:1/"


def need(*pairs):
    return run("need_packages.sh", "the tests", *pairs)


def run(script, *arguments):
    command = [ROOT / "tools" / script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def complaint(done):
    """The one line of a refusal."""
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    return line


def test_what_is_there_is_not_asked_for(system):
    assert need("sh=dash", "/bin/sh=dash").returncode == 0


def test_the_line_that_installs_what_is_missing(system):
    system.apt(DEBIAN, build_essential=["gcc"], iproute2=["ip"])
    pairs = ("gcc=build-essential", "sh=dash", "ip=iproute2")
    advice = "sudo apt-get update && sudo apt-get install build-essential iproute2"
    assert complaint(need(*pairs)) == f"missing for the tests: {advice}"
    system.as_root(advice)
    assert need(*pairs).returncode == 0


def test_root_gets_it_installed_although_no_lists_were_fetched(system):
    system.apt(DEBIAN, build_essential=["gcc"]).become(0)
    done = need("gcc=build-essential")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Installing packages for the tests: build-essential\n"


@pytest.mark.parametrize(
    ("offered", "taken"),
    [
        ({"qemu-system-misc": ["qemu-system-riscv32"]}, "qemu-system-misc"),
        (
            {"qemu-system-misc": ["qemu-system-avr"], "qemu-system-riscv": ["qemu-system-riscv32"]},
            "qemu-system-riscv",
        ),
    ],
    ids=["Debian 12, Ubuntu 24.04", "Debian 13"],
)
def test_a_package_is_asked_for_by_the_name_that_this_release_has(system, offered, taken):
    system.apt(DEBIAN, **offered).hear_of("qemu-system-riscv")
    system.as_root("sudo apt-get update")
    said = complaint(need(QEMU))
    assert said.endswith(f"sudo apt-get install {taken}")
    system.become(0)
    assert need(QEMU).returncode == 0


def test_what_is_installed_is_not_advised_again(system):
    system.apt(DEBIAN, avahi_daemon=["elsewhere"], lftp=["lftp"])
    pairs = ("avahi-daemon=avahi-daemon", "lftp=lftp")
    system.as_root(complaint(need(*pairs)))
    lost = "avahi-daemon is installed, yet avahi-daemon is not found"
    assert complaint(need(*pairs)) == f"missing for the tests: {lost}"
    system.become(0)
    assert complaint(need(*pairs)) == f"missing for the tests: {lost}"


def test_what_apt_does_not_have_is_not_advised_again(system):
    system.apt("Ubuntu http://127.0.0.1:1/", lftp=["lftp"])
    system.as_root("sudo apt-get update")
    said = complaint(need("chromium=chromium|chromium-browser", "lftp=lftp"))
    assert "apt has no package chromium|chromium-browser for chromium (on Ubuntu: is univ" in said
    assert said.endswith("; sudo apt-get update && sudo apt-get install lftp")


def test_root_is_told_what_apt_does_not_have(system):
    system.apt("Ubuntu http://127.0.0.1:1/").become(0)
    assert "apt has no package lftp for lftp" in complaint(need("lftp=lftp"))


def test_packages_where_there_is_no_apt(system):
    said = complaint(need("gcc=build-essential", "ip=iproute2", "sh=dash"))
    assert "gcc (Debian: build-essential), ip (Debian: iproute2), and there is no apt here" in said


def test_the_venv_of_the_python_that_is_used(system, tmp_path):
    """Ubuntu's and Debian's Pythons lack ensurepip; each has a package of its own for it."""
    system.apt(DEBIAN, **{"python3.12-venv": []})
    system.as_root("sudo apt-get update")
    system.say("python3", "case $2 in *sysconfig*) echo /none ;; *print*) echo 3.12.3 ;; esac")
    done = run("make_venv.sh", "python3", tmp_path / "build")
    advice = "sudo apt-get update && sudo apt-get install python3.12-venv"
    assert complaint(done) == f"missing for PYTHON=python3: {advice}"
    system.as_root(advice)
    done = run("make_venv.sh", "python3", tmp_path / "build")
    assert "python3.12-venv is installed, yet /none/__init__.py is" in complaint(done)
