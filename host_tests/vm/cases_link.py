"""Transactions in both roles on fake pins."""

from fake_pins import RIGS, make_rig
from raw_controller import request


class Echo:
    """connRead answers with what connWrite brought; anything else is unknown."""

    def __init__(self):
        self.kept = b""
        self.calls = []

    def wifi_state(self):
        return 4

    def answer(self, request):
        if request.command == 5:
            request.accepted = request.length
            return request.length
        if request.command == 4:
            request.tx[12 : 12 + len(self.kept)] = self.kept
            return len(self.kept)
        request.refused = True
        return -1

    def complete(self, request):
        self.calls.append("complete")
        if request.command == 5:
            self.kept = bytes(request.rx[12 : 12 + request.accepted])

    def deferred(self, _request):
        self.calls.append("deferred")

    def cut(self, _request):
        self.calls.append("cut")


def each_rig():
    for role in sorted(RIGS):
        yield make_rig(role, Echo())


def case_data_crosses_both_ways():
    for rig in each_rig():
        for n in (0, 1, 4, 7, 2047, 2048):
            data = (b"\x01\x82\x03\xfe" * 512)[:n]
            rig.piece = max(3, n // 8)  # the trace of each burst has to fit the VM's heap
            assert rig.ask(request(5, data=data))[0] == n
            assert rig.ask(request(4)) == (n, data)


def case_refusals():
    for rig in each_rig():
        assert rig.ask(request(9))[0] == -1
        assert rig.ask(request(4, version=0x3D))[0] == -2
        assert rig.ask(request(5, length=2049))[0] == -5
        assert rig.link.commands.calls == []
        assert rig.ask(request(4))[0] == 0


def case_controller_that_dies():
    for rig in each_rig():
        if rig.role == "controller-clocked":
            for n in (1, 8, 11, 12, 40):
                rig.die_after(request(5, data=b"x" * 100), n)
                rig.transfer_ready.drive(0)
                rig.cs.drive(1)
                rig.serve(500)
                assert rig.ask(request(4)) == (0, b"")
            assert rig.link.commands.calls.count("cut") == 4
