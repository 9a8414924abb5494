"""The cases of this folder: on CPython, and under the VM where viper is machine code."""

import importlib

import pytest
from project import ROOT
from run import cases_of
from sim_process import BINARY, LWIP_BINARY, SimProcess

MODULES = (
    "cases_ring",
    "cases_wire",
    "cases_link",
    "cases_connection",
    "cases_datagrams",
    "cases_slots",
    "cases_port",
)
# CPython has no heap to lock or to measure.
ON_THE_VM = (*MODULES, "cases_heap", "cases_garbage", "cases_nina")
VM = ROOT / "host_tests" / "vm"


def on_cpython():
    for name in MODULES:
        for case, function in cases_of(importlib.import_module(name)):
            yield pytest.param(function, id=f"{name}.{case}")


@pytest.mark.parametrize("case", list(on_cpython()))
def test_on_cpython(case):
    case()


@pytest.mark.parametrize(
    ("module", "binary"),
    [*((module, BINARY) for module in ON_THE_VM), ("cases_datagrams", LWIP_BINARY)],
    ids=[*ON_THE_VM, "cases_datagrams-lwip"],
)
def test_under_the_vm(module, binary):
    arguments = [str(VM / "run.py"), str(ROOT / "host_tests/support"), module]
    process = SimProcess(arguments, binary=binary)
    try:
        out = process.process.stdout.read()
        code = process.wait()
    finally:
        process.end()
    assert code == 0, "\n".join([out, *process.lines])
    assert out.count("passed") >= 2
