"""`make bench`, the core's part: what is made of what the emulator and its trace say."""

import os
import re
import subprocess
import sys

import pytest
from project import ROOT

sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

from bench import core as bench_core  # noqa: E402 -- found through the path above

COUNTED = (ROOT / "boards/QEMU_RV32/counted.py").read_text()
COUNTED_NINA = (ROOT / "boards/QEMU_RV32/counted_nina.py").read_text()
SAID = """\
>>> import counted; counted.main()
counted\tnull\t0\t200\t3535\t0\t3600
allocated\tnull\t0
counted\tconnRead 2048\t0\t200\t1373\t0\t1400
counted\tconnRead 2048\t1\t200\t7630\t3074\t7700
allocated\tconnRead 2048\t16
longest\t99939\t371506\t328487\t45056
"""
SYMBOLS = [
    (0x100, "mp_execute_bytecode"),
    (0x200, "next_step"),
    (0x300, "fun_data_hot"),
    (0x400, "memcpy"),
    (0x500, "pin_value"),
    (0x600, "memchip_read"),
    (0x700, "dma"),
]
VM, NEXT, VIPER, COPY, PIN, DRIVER, DMA = (start for start, _ in SYMBOLS)


def trace_of(*addresses):
    """Lines as the emulator logs them, with some that are none."""
    yield "Linking TBs 0x7f0 index 0 -> 0x7f8"
    for address in addresses:
        yield f"Trace 0: 0x7f5c [00000000/{address:08x}/00000001/ff020000]"


# --- counting


def test_what_the_core_says():
    steps, allocated, longest = bench_core.parse(SAID.splitlines())
    assert steps == {
        "null": [[200, 3535, 0, 3600]],
        "connRead 2048": [[200, 1373, 0, 1400], [200, 7630, 3074, 7700]],
    }
    assert allocated == {"null": 0, "connRead 2048": 16}
    assert longest == [99939, 371506, 328487, 45056]


@pytest.mark.parametrize("missing", ["counted", "allocated", "longest"])
def test_a_core_that_said_too_little(missing):
    lines = [line for line in SAID.splitlines() if not line.startswith(missing)]
    with pytest.raises(bench_core.BenchError, match="said less"):
        bench_core.parse(lines)


def test_every_figure_is_of_a_scenario_that_is_counted():
    scenarios = re.findall(r'^    \("([^"]+)", \d, ', COUNTED + COUNTED_NINA, re.MULTILINE)
    assert len(scenarios) > 10
    assert {scenario for _, scenario, _, _ in bench_core.FIGURES} <= set(scenarios)
    names = [name for name, *_ in bench_core.FIGURES]
    assert len(set(names)) == len(names)
    assert {*bench_core.GOALS, bench_core.ONE_BUSY, bench_core.EIGHT_BUSY} <= set(names)
    assert f"\nTIMES = {bench_core.WRITES}\n" in COUNTED


# --- splitting


def test_a_trace_is_cut_where_passes_begin():
    trace = trace_of(VM, NEXT, NEXT + 2, VM, VM + 8, VIPER, NEXT, COPY, PIN, DRIVER + 4, NEXT, VM)
    first, second = bench_core.by_pass(trace, SYMBOLS)
    assert {place: first[place] for place in bench_core.PLACES} == {
        **{"VM": 2, "viper": 1, "drivers": 0, "copy": 0}
    }
    assert {place: second[place] for place in bench_core.PLACES} == {
        **{"VM": 0, "viper": 0, "drivers": 2, "copy": 1}
    }


def test_what_no_chip_executes_is_not_counted():
    (only,) = bench_core.by_pass(trace_of(NEXT, DMA, DMA + 2, VM, NEXT), SYMBOLS)
    assert sum(only[place] for place in bench_core.PLACES) == 1


def test_steps_take_turns_and_the_first_round_is_not_counted():
    passes = [bench_core.collections.Counter(VM=n) for n in (1000, 2000, 10, 100, 30, 300)]
    first, second = bench_core.means(passes, 2)
    assert (first["VM"], second["VM"]) == (20, 200)
    assert first["copy"] == 0


def test_a_trace_that_is_too_short():
    with pytest.raises(bench_core.BenchError, match="1 passes, too few for 1 steps"):
        bench_core.means([bench_core.collections.Counter(VM=1)], 1)


# --- telling


@pytest.fixture
def steps():
    """A row for each step of each scenario: 1000, 2000, ..."""
    found = {}
    for _, scenario, step, _ in bench_core.FIGURES:
        rows = found.setdefault(scenario, [])
        while len(rows) <= (step or 0):
            rows.append([200, 1000 * (len(rows) + 1), 0, 9999])
    return found


@pytest.fixture
def split(steps):
    parts = {"VM": 700, "viper": 200, "drivers": 99, "copy": 1}
    return bench_core.splits({name: [parts] * len(rows) for name, rows in steps.items()})


def lines_of(steps, split, most=371506, allocated=0):
    found = bench_core.figures(steps)
    longest = [99939, most, 328487, 45056]
    return list(bench_core.table(found, split, {"null": 0, "accept": allocated}, longest))


def test_a_figure_is_of_its_step_and_of_as_many_passes_as_it_says(steps, split):
    found = bench_core.figures(steps)
    assert found["null"] == 1000
    assert found["connRead 2048"] == 2000
    assert found["connClose"] == 3000
    assert found[bench_core.ONE_BUSY] == 2000, "a pair is two passes"
    assert found["poll over eight idle sockets"] == 8000
    assert split["poll over eight idle sockets"]["VM"] == 5600


def test_each_figure_has_a_line_with_its_parts(steps, split):
    text = lines_of(steps, split)
    (line,) = [line for line in text if line.startswith("  accept")]
    assert line.split() == ["accept", "1000", "700", "200", "99", "1"]
    for name, *_ in bench_core.FIGURES:
        assert any(line.startswith(f"  {name} ") for line in text)


def test_the_longest_service_has_its_collection_in_it(steps, split):
    text = "\n".join(lines_of(steps, split))
    assert "collection included: 371506 instructions" in text
    assert "a collection of 45056 live bytes alone: 328487" in text
    assert str(371506 + 328487) not in text


def test_goals_that_are_met(steps, split):
    text = "\n".join(lines_of(steps, split))
    assert "goal 5000" in text
    assert "(goal 400000)" in text
    assert "MISSED" not in text


def test_goals_that_are_missed(steps, split):
    steps["null"][0][1] = 5001
    for row in steps["pairs, 8 sockets busy"]:
        row[1] = 1101
    text = lines_of(steps, split, most=400001, allocated=1)
    missed = [line.split()[0] for line in text if "MISSED" in line]
    assert missed == ["null", "a", "(goal", "Bytes"]
    assert text[-1].startswith("Bytes allocated per transaction: 0.01 at most")


def test_what_is_no_image(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "bench/core.py", tmp_path / "none"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"bench: the emulated core ended early: .*\n", done.stderr)
