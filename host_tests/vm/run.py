"""Run the cases of this folder under MicroPython: every function whose name begins with `case_`.

    micropython run.py HOST_TESTS MODULE ...
Prints a line for each; the exit code is 1 when any failed. The same functions run on CPython, from
test_under_vm.py.
"""

import gc
import sys


def cases_of(module):
    """(name, function) of a module's cases."""
    return [
        (name, getattr(module, name)) for name in sorted(dir(module)) if name.startswith("case_")
    ]


def passes(name, function):
    """Run one case; False and its trace when it fails."""
    gc.collect()  # what the case before left, all in one go: a chip's heap is soon in pieces
    try:
        function()
    except Exception as e:
        print("FAILED", name)
        sys.print_exception(e, sys.stdout)
        return False
    print("passed", name)
    return True


def main(modules):
    results = []
    for name in modules:
        for case, function in cases_of(__import__(name)):
            results.append(passes(name + "." + case, function))
    print("%d cases, %d failed" % (len(results), results.count(False)))
    return 0 if results and False not in results else 1


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    sys.exit(main(sys.argv[2:]))
