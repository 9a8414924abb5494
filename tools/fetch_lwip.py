#!/usr/bin/env python3
"""Make BUILD/lwip-2.1.3 hold lwIP, from Debian's source package, as ESP-IDF's fork behaves.

A few lines of lwIP are changed, each only where its surroundings are exactly as expected; the
reasons are with the patches. Nothing happens when the folder is up to date already.
"""

import hashlib
import sys
from pathlib import Path

from debian_source import FetchError, Package, program, unpacked

VERSION = "2.1.3"
PACKAGE = Package(
    label=f"lwIP {VERSION}",
    pool="pool/main/l/lwip",
    archive=f"lwip_{VERSION}+dfsg1.orig.tar.xz",
    sha256="0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24",
    tree=f"lwip-{VERSION}",
    advice="",
)
STAMP = ".ready"  # written last; names the archive and the patches

# With LWIP_SO_LINGER the fork calls the poll callback when a PCB enters TIME-WAIT, ignores the
# answer, and goes on using the PCB. A PCB enters TIME-WAIT at three places.
ENTERS_TIME_WAIT = "TCP_REG(&tcp_tw_pcbs, pcb);\n"
POLLS = "#if LWIP_SO_LINGER\n          TCP_EVENT_POLL(pcb, err);\n#endif\n"

# (file, old text, new text): each old text must occur exactly once.
PATCHES = (
    # A connection that completes its handshake while the accept mailbox is full is refused; vanilla
    # asserts on the way, because the netconn's mailboxes are not marked invalid before it is freed.
    (
        "src/api/api_msg.c",
        "    /* no need to drain since we know the recvmbox is empty. */\n",
        "    /* no need to drain since we know the recvmbox is empty. */\n"
        "    newconn->flags |= NETCONN_FLAG_MBOXINVALID;\n",
    ),
    # The fork lets the configuration set the first retransmission time-out (1.5 s, not 3 s).
    (
        "src/core/tcp.c",
        "    pcb->rto = 3000 / TCP_SLOW_INTERVAL;\n",
        "    pcb->rto = LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL;\n",
    ),
    (
        "src/core/tcp.c",
        "    pcb->sv = 3000 / TCP_SLOW_INTERVAL;\n",
        "    pcb->sv = LWIP_TCP_RTO_TIME / TCP_SLOW_INTERVAL;\n",
    ),
    *(
        ("src/core/tcp_in.c", ENTERS_TIME_WAIT + after, ENTERS_TIME_WAIT + POLLS + after)
        for after in (
            "        } else {\n          tcp_ack_now(pcb);\n          pcb->state = CLOSING;\n",
            "      }\n      break;\n    case CLOSING:\n",
            "      }\n      break;\n    case LAST_ACK:\n",
        )
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
