"""TLS in the module: real programs against SIM, and SIM as a client of a real server."""

import hashlib
import random
import subprocess

import pytest
from sim_process import start_sim
from tls_rig import (
    NAME,
    Authority,
    Background,
    Controller,
    Web,
)

__all__ = ["start_sim"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A CA that nobody was told of."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def own(authority):
    """The module's certificate and key."""
    return authority.issue("module", f"DNS:{NAME}", "IP:127.0.0.1")


@pytest.fixture
def module(start_sim):
    """A module that has booted, and its controller."""
    sim = start_sim("module-clocked")
    sim.power_on()
    return Controller(sim)


@pytest.fixture
def served(module, own, authority):
    """The same with certificate, key and CA."""
    module.install(*own, ca=authority.pem)
    return module


def curl(port, ca, *options, name=NAME):
    """curl beside the controller: (exit code, what it got, what it said)."""

    def run():
        done = subprocess.run(
            [
                *("curl", "-sS", "--max-time", "20", "--cacert", str(ca)),
                *("--resolve", f"{name}:{port}:127.0.0.1", *options),
                f"https://{name}:{port}/file",
            ],
            capture_output=True,
        )
        return done.returncode, done.stdout, done.stderr.decode()

    return Background(run)


def served_result(module, work):
    module.serve_until(work.over)
    return work.result()


def noise(n, seed=1):
    return random.Random(seed).randbytes(n)


# --- serving


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_curl_gets_what_it_put(module, authority, kind, tmp_path):
    module.install(*authority.issue(f"web-{kind}", f"DNS:{NAME}", kind=kind))
    port = module.listen(Web)
    data = noise(2 << 20)
    (tmp_path / "data").write_bytes(data)
    put = curl(port, authority.path("pem"), "-T", str(tmp_path / "data"))
    assert served_result(module, put) == (0, b"stored", "")
    assert hashlib.sha256(Web.stored).digest() == hashlib.sha256(data).digest()
    code, got, said = served_result(module, curl(port, authority.path("pem")))
    assert (code, said) == (0, "")
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def test_curl_refuses_a_module_of_another_ca(served, stranger):
    port = served.listen(Web)
    code, got, said = served_result(served, curl(port, stranger.path("pem")))
    assert (code, got) == (60, b"")
    assert "certificate" in said
    assert served.news() == ""  # the visitor's business
