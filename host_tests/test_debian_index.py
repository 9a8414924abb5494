"""tools/debian_index.py: what a suite has now, from an index that Debian signed."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

import debian_index
from debian_source import FetchError

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
