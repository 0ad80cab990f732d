"""One step of OpenSSL in a handshake that goes on with the same object."""

import ssl
from time import perf_counter
from typing import NamedTuple

from proxy.tls.stream import BioPair


class ServerStep(NamedTuple):
    """What OpenSSL made of the client's bytes."""

    output: bytes
    """For the client: a flight, or an alert."""
    rest: bytes
    """What came behind the end of the handshake."""
    is_finished: bool
    error: ssl.SSLError | None
    seconds: float


def server_step(tls: ssl.SSLObject, bios: BioPair, data: bytes) -> ServerStep:
    """Give it bytes, and take out of the BIOs what it made of them; they are empty before and after."""
    bios.incoming.write(data)
    error, is_finished, rest = None, False, b""
    started = perf_counter()
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    except ssl.SSLError as failure:
        error = failure
        bios.incoming.read()
    else:
        is_finished = True
        # what came in the same segment as the client's Finished
        rest = bios.incoming.read()
    seconds = perf_counter() - started
    return ServerStep(bios.outgoing.read(), rest, is_finished, error, seconds)
