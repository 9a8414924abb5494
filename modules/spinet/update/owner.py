"""The certificate of the owner, whose key may send images over the network. It is no secret.

It is stored, so that a new image keeps it. b"" or none: there are no updates over the network.
"""

from spinet import compat


def of(board):
    """The certificate that counts (PEM, bytes). That of the board file counts when none is stored,
    and is stored then: the board file of a later image may have none. Raises ValueError when
    something is wrong with it."""
    pem = board.store("owner").load(True)
    if board.OWNER and not pem:
        pem = board.OWNER.encode()
        try:
            wrong = change(board, pem)
        except OSError:
            wrong = None  # stored at the next boot
        if wrong:
            raise ValueError(wrong)
    return pem


def change(board, pem):
    """Store another one (PEM, also as text), which counts from the next boot on; b"": none.

    Returns what is wrong with it, or None. Raises OSError. Also for the REPL.
    """
    pem = pem.encode() if isinstance(pem, str) else bytes(pem)
    store = board.store("owner")
    if not pem:
        return store.erase()
    if compat.tls_session is None:
        return "TLS is not in this firmware"
    if b"PRIVATE KEY" in pem:
        return "the owner's key must stay with the owner: send the certificate alone"
    wrong = compat.tls_session.check_own(pem)
    if wrong:
        return "the owner's certificate: " + wrong
    return store.save(pem)
