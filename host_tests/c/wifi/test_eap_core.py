"""Enterprise logins of firmware/wifi over a fake of ESP-IDF's EAP client."""

import ctypes
import subprocess

import pytest
from project import ROOT

CORE = ROOT / "firmware" / "wifi"
FAKE = ROOT / "host_tests/c/wifi" / "fake_idf"
TLS, PEAP, TTLS = 1, 2, 3
IDENTITY, USERNAME, PASSWORD, CA_CERT, CERT, KEY, KEY_PASSWORD = range(7)
BAD_PROTOCOL, NO_MEMORY, NOT_ENABLED = 6, 7, 8
MSCHAPV2 = 1

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DER = b"\x30\x82\x01\x02rest of it"
LOGIN = (b"anon", PEM, b"someone", b"plant3d", b"")
CERTIFICATES = (b"anon", PEM, PEM, PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"), b"plant3d")


class Credential(ctypes.Structure):
    _fields_ = (("data", ctypes.c_char_p), ("size", ctypes.c_size_t))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Core and fake, built with every warning an error; the core's heap is counted."""
    built = tmp_path_factory.mktemp("eap") / "eap.so"
    flags = ["-std=c11", "-O1", "-g", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    core = built.with_suffix(".o")
    heap = ["-Dmalloc=counted_malloc", "-Dfree=counted_free", "-include", "stdlib.h"]
    source = [str(CORE / "eap_login.c"), "-I", str(CORE), "-I", str(FAKE)]
    subprocess.run(["gcc", *flags, *heap, "-c", *source, "-o", core], check=True)
    fake = str(FAKE / "fake_idf.c")
    subprocess.run(["gcc", *flags, "-shared", core, fake, "-I", str(FAKE), "-o", built], check=True)
    return ctypes.CDLL(str(built))


class Driver:
    """What the fake has seen."""

    def __init__(self, library):
        self._library = library
        self.reset()

    def reset(self, fail_call=-1, fail_malloc=-1):
        self._library.eap_clear()
        self._library.fake_reset(fail_call, fail_malloc)

    def use(self, protocol, credentials):
        """eap_use(), with buffers that are gone afterwards."""
        buffers = [ctypes.create_string_buffer(each, max(1, len(each))) for each in credentials]
        array = (Credential * 5)()
        for i, buffer in enumerate(buffers):
            array[i].data = ctypes.cast(buffer, ctypes.c_char_p)
            array[i].size = len(credentials[i])
        refused = self._library.eap_use(protocol, array)
        for buffer in buffers:
            ctypes.memset(buffer, 0xEE, len(buffer))
        return refused

    def clear(self):
        self._library.eap_clear()

    def has(self, slot):
        """What the driver would use, None when it has nothing."""
        into = ctypes.create_string_buffer(8192)
        n = self._library.fake_look(slot, into)
        return None if n < 0 else into.raw[:n]

    def everything(self):
        return [self.has(slot) for slot in range(7)]

    def __getattr__(self, name):
        return getattr(self._library, "fake_" + name)()


@pytest.fixture
def driver(library):
    driver = Driver(library)
    yield driver
    driver.reset()
    assert driver.blocks == 0


@pytest.mark.parametrize("protocol", [PEAP, TTLS])
def test_login_with_a_password(driver, protocol):
    assert driver.use(protocol, LOGIN) == 0
    assert driver.everything() == [
        *(b"anon", b"someone", b"plant3d"),
        *(PEM + b"\0", None, None, None),
    ]
    assert driver.enabled
    assert driver.time_check_off
    assert driver.phase2 == (MSCHAPV2 if protocol == TTLS else -1)


def test_login_with_a_certificate(driver):
    assert driver.use(TLS, CERTIFICATES) == 0
    assert driver.has(USERNAME) is None
    assert driver.has(CERT) == PEM + b"\0"
    assert driver.has(KEY) == CERTIFICATES[3] + b"\0"
    assert driver.has(KEY_PASSWORD) == b"plant3d"
    assert driver.key_password_length == 7


def test_der_gets_no_nul_and_pem_not_a_second_one(driver):
    assert driver.use(TLS, (b"", PEM + b"\0", DER, DER, b"")) == 0
    assert driver.has(CA_CERT) == PEM + b"\0"
    assert driver.has(CERT) == DER
    assert driver.has(KEY) == DER
    assert driver.has(KEY_PASSWORD) is None


def test_text_before_the_pem_is_allowed(driver):
    text = b"0 Issuer: somebody\n" + PEM
    assert driver.use(PEAP, (b"", text, b"someone", b"plant3d", b"")) == 0
    assert driver.has(CA_CERT) == text + b"\0"


@pytest.mark.parametrize(
    ("protocol", "credentials", "refused"),
    [
        (0, LOGIN, BAD_PROTOCOL),
        (4, LOGIN, BAD_PROTOCOL),
        (PEAP, (b"", b"", b"", b"plant3d", b""), 3),
        (PEAP, (b"", b"", b"someone", b"", b""), 4),
        (TTLS, (b"a" * 129, b"", b"someone", b"plant3d", b""), 1),
        (TTLS, (b"", b"", b"a" * 129, b"plant3d", b""), 3),
        (TLS, (b"", PEM, b"", PEM, b""), 3),
        (TLS, (b"", PEM, PEM, b"", b""), 4),
    ],
)
def test_what_is_missing_or_too_long_is_said_and_leaves_nothing(
    driver, protocol, credentials, refused
):
    assert driver.use(protocol, credentials) == refused
    assert driver.everything() == [None] * 7
    assert not driver.enabled
    assert driver.blocks == 0


@pytest.mark.parametrize(
    ("protocol", "credentials", "codes"),
    [
        (PEAP, LOGIN, [1, 2, 3, 4, NOT_ENABLED, NOT_ENABLED]),
        (TTLS, LOGIN, [1, 2, BAD_PROTOCOL, 3, 4, NOT_ENABLED, NOT_ENABLED]),
        (TLS, CERTIFICATES, [1, 2, 3, NOT_ENABLED, NOT_ENABLED]),
    ],
)
def test_driver_that_refuses_any_call_has_nothing_afterwards(driver, protocol, credentials, codes):
    for call, code in enumerate(codes):
        driver.reset(fail_call=call)
        assert driver.use(protocol, credentials) == code
        assert driver.everything() == [None] * 7
        assert not driver.enabled
        assert driver.blocks == 0
    driver.reset(fail_call=len(codes))
    assert driver.use(protocol, credentials) == 0


def test_no_memory_at_any_point(driver):
    for n in range(4):
        driver.reset(fail_malloc=n)
        assert driver.use(TLS, CERTIFICATES) == NO_MEMORY
        assert driver.everything() == [None] * 7
        assert driver.blocks == 0


def test_next_login_has_nothing_of_the_last(driver):
    assert driver.use(TLS, CERTIFICATES) == 0
    assert driver.use(PEAP, (b"", b"", b"other", b"password", b"")) == 0
    assert driver.everything() == [None, b"other", b"password", None, None, None, None]
    assert driver.blocks == 0


def test_secrets_are_overwritten_before_they_are_freed(driver):
    assert driver.use(TLS, CERTIFICATES) == 0
    assert driver.blocks == 4
    driver.clear()
    assert driver.blocks == 0
    assert driver.dirty == 0
    assert driver.everything() == [None] * 7
    assert not driver.enabled
