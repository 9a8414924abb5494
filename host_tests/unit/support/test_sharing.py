"""What shares a worker when pytest's workers share the tests."""

import pytest
from sharing import scope_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "host_tests/unit/test_one.py::test_a",
            "host_tests/unit/test_one.py::TestB::test_b[x@y]",
        ),
        (
            "host_tests/e2e/test_page.py::test_a[sockets-module-clocked]",
            "host_tests/e2e/test_transfers.py::test_b[sockets-module-clocked-8]",
        ),
        (
            "host_tests/c/lwip/test_churn.py::test_a[locked]",
            "host_tests/c/lwip/test_churn.py::test_b[locked-True]",
        ),
    ],
)
def test_together(one, other):
    assert scope_of(one) == scope_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "host_tests/unit/test_one.py::test_a",
            "host_tests/unit/test_other.py::test_a",
        ),
        (
            "host_tests/e2e/test_page.py::test_a[sockets-module-clocked]",
            "host_tests/e2e/test_page.py::test_a[lwip-module-clocked]",
        ),
        (
            "host_tests/c/lwip/test_churn.py::test_a[locked]",
            "host_tests/c/lwip/test_churn.py::test_a[unlocked]",
        ),
    ],
)
def test_apart(one, other):
    assert scope_of(one) != scope_of(other)
