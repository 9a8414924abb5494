"""How pytest's workers share the tests: what is dear to make is made in one of them.

A file's tests run in one worker, in their order. A system of the end-to-end tests, and a rig of
netconn's, serves the tests of several files or a part of one: there the parameter counts as well.
"""

import re

from xdist.scheduler import LoadScopeScheduling

SYSTEM = re.compile(r"\[((?:sockets|lwip)-(?:module|controller)-clocked)")
RIG = re.compile(r"\[((?:un)?locked)")


class SharedTests(LoadScopeScheduling):
    """xdist's scheduler by scopes, with ours."""

    def _split_scope(self, nodeid):
        return scope_of(nodeid)


def scope_of(nodeid):
    """The name of what a test shares with others."""
    system = SYSTEM.search(nodeid)
    if system:
        return system[1]
    file = nodeid.partition("::")[0]
    rig = RIG.search(nodeid)
    return f"{file} {rig[1]}" if rig else file
