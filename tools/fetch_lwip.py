#!/usr/bin/env python3
"""Make BUILD/lwip-2.2.1 hold lwIP as ESP-IDF's fork behaves, from Debian's source or a checkout.

A few lines of lwIP are changed, each only where its surroundings are exactly as expected; the
reasons are with the patches. Nothing happens when the folder is up to date already.
"""

import hashlib
import re
import sys
from pathlib import Path

from debian_source import FetchError, Package, Submodule, program, unpacked

VERSION = "2.2.1"
PACKAGE = Package(
    label=f"lwIP {VERSION}",
    pool="pool/main/l/lwip",
    archive=f"lwip_{VERSION}+dfsg1.orig.tar.xz",
    sha256="83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1",
    tree=f"lwip-{VERSION}",
    submodule=Submodule(
        "lib/lwip",
        "src/include/lwip/init.h",
        re.compile(r"_MAJOR +2$.*_MINOR +2$.*_REVISION +1$", re.DOTALL | re.MULTILINE),
    ),
)
STAMP = ".ready"  # written last; names the archive and the patches

TCP, TCP_IN = "src/core/tcp.c", "src/core/tcp_in.c"
# A PCB enters TIME-WAIT at three places.
ENTERS_TIME_WAIT = "TCP_REG(&tcp_tw_pcbs, pcb);\n"
POLLS = "#if LWIP_SO_LINGER\n          TCP_EVENT_POLL(pcb, err);\n#endif\n"
KILLS_BY_PRIORITY = (
    "        if (pcb == NULL) {\n"
    "          /* Try killing oldest active connection with lower priority than the new one. */\n"
)

# (file, old text, new text): each old text must occur exactly once.
PATCHES = (
    # A connection that completes its handshake while the accept mailbox is full is refused; without
    # this lwIP asserts, because the netconn's mailboxes are not marked invalid before it is freed.
    (
        "src/api/api_msg.c",
        "    /* no need to drain since we know the recvmbox is empty. */\n",
        "    /* no need to drain since we know the recvmbox is empty. */\n"
        "    newconn->flags |= NETCONN_FLAG_MBOXINVALID;\n",
    ),
    # With LWIP_SO_LINGER the fork calls the poll callback when a PCB enters TIME-WAIT, ignores the
    # answer, and goes on using the PCB.
    *(
        (TCP_IN, ENTERS_TIME_WAIT + after, ENTERS_TIME_WAIT + POLLS + after)
        for after in (
            "        } else {\n          tcp_ack_now(pcb);\n          pcb->state = CLOSING;\n",
            "      }\n      break;\n    case CLOSING:\n",
            "      }\n      break;\n    case LAST_ACK:\n",
        )
    ),
    # A FIN that the receive callback has no room for is answered with a FIN.
    (
        TCP_IN,
        "            TCP_EVENT_CLOSED(pcb, err);\n"
        "            if (err == ERR_ABRT) {\n"
        "              goto aborted;\n",
        "            TCP_EVENT_CLOSED(pcb, err);\n"
        "            if (err == ERR_MEM) {\n"
        "              tcp_set_flags(pcb, TF_CLOSEPEND);\n"
        "            }\n"
        "            if (err == ERR_ABRT) {\n"
        "              goto aborted;\n",
    ),
    # For a new PCB, connections in FIN-WAIT-2 and FIN-WAIT-1 give way before unimportant ones.
    (
        TCP,
        KILLS_BY_PRIORITY,
        "".join(
            "        if (pcb == NULL) {\n"
            f"          tcp_kill_state({state});\n"
            "          pcb = (struct tcp_pcb *)memp_malloc(MEMP_TCP_PCB);\n"
            "        }\n"
            for state in ("FIN_WAIT_2", "FIN_WAIT_1")
        )
        + KILLS_BY_PRIORITY,
    ),
    (
        TCP,
        '  LWIP_ASSERT("invalid state", (state == CLOSING) || (state == LAST_ACK));\n',
        "",
    ),
    # A SYN-ACK is repeated at equal intervals, as a SYN is.
    (
        TCP,
        "            if (pcb->state != SYN_SENT) {\n              u8_t backoff_idx",
        "            if (pcb->state != SYN_SENT && pcb->state != SYN_RCVD) {\n"
        "              u8_t backoff_idx",
    ),
)


def fetch(build: Path) -> None:
    """The patched source in its folder under `build`; raises FetchError."""
    unpacked(PACKAGE, build, build / f"lwip-{VERSION}", finish, is_ready)


def is_ready(source: Path) -> bool:
    """True when the folder is what this program would make today."""
    stamp = source / STAMP
    return stamp.is_file() and stamp.read_text() == recipe()


def recipe() -> str:
    """What a finished folder is stamped with."""
    return hashlib.sha256(repr((PACKAGE.sha256, PATCHES)).encode()).hexdigest()


def finish(tree: Path) -> None:
    patch(tree)
    (tree / STAMP).write_text(recipe())


def patch(tree: Path) -> None:
    """Apply every patch, or raise naming the one whose surroundings are not as expected."""
    for name, old, new in PATCHES:
        file = tree / name
        text = file.read_text(encoding="latin-1")
        if text.count(old) != 1:
            raise FetchError(f"{name}: expected exactly one {old.strip()!r}; not patched")
        file.write_text(text.replace(old, new), encoding="latin-1")


if __name__ == "__main__":
    sys.exit(program(__doc__, fetch))
