"""lwIP on this computer against the chips': the options, and what a wrong use of its locks does."""

import pytest
from netconn_rig import Rig
from options import here
from project import ROOT

SDKCONFIG = ROOT / "boards" / "chip" / "sdkconfig.chip"

# The option of lwIP that ESP-IDF's lwipopts.h makes of each name of Kconfig; "": none.
OPTION = {
    "LWIP_MAX_ACTIVE_TCP": "MEMP_NUM_TCP_PCB",
    "LWIP_MAX_LISTENING_TCP": "MEMP_NUM_TCP_PCB_LISTEN",
    "LWIP_MAX_SOCKETS": "MEMP_NUM_NETCONN",
    "LWIP_TCP_SND_BUF_DEFAULT": "TCP_SND_BUF",
    "LWIP_TCP_WND_DEFAULT": "TCP_WND",
    "LWIP_TCP_RECVMBOX_SIZE": "DEFAULT_TCP_RECVMBOX_SIZE",
    "LWIP_TCP_ACCEPTMBOX_SIZE": "DEFAULT_ACCEPTMBOX_SIZE",
    "LWIP_TCPIP_RECVMBOX_SIZE": "TCPIP_MBOX_SIZE",
    "LWIP_SO_LINGER": "LWIP_SO_LINGER",
    "LWIP_TCPIP_CORE_LOCKING": "LWIP_TCPIP_CORE_LOCKING",
    "LWIP_TCP_MSL": "TCP_MSL",
    "LWIP_L2_TO_L3_COPY": "",
}


def chips():
    """{option of lwIP: value} of sdkconfig.chip; a name that OPTION lacks is a KeyError."""
    lines = [line for line in SDKCONFIG.read_text().splitlines() if line.startswith("CONFIG_LWIP_")]
    pairs = [line.removeprefix("CONFIG_").split("=") for line in lines]
    values = {OPTION[name]: {"y": "1", "n": "0"}.get(value, value) for name, value in pairs}
    return {option: int(value) for option, value in values.items() if option}


@pytest.mark.behaviour("D17")
def test_what_both_set_is_the_same():
    wanted = chips()
    assert here(wanted) == wanted


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("protect_twice", "sys_arch_protect within sys_arch_protect"),
        ("unprotect", "sys_arch_unprotect without sys_arch_protect"),
        ("lock_twice", "a mutex is taken by the thread that holds it"),
    ],
)
def test_what_would_stop_a_chip_ends_the_process(program, wrong, told):
    rig = Rig(program)
    try:
        with pytest.raises(AssertionError, match=f"lwIP assertion: {told}"):
            getattr(rig, wrong)()
    finally:
        rig.kill()
