"""What a key exchange costs a server on this machine, by group.

It is measured by a handshake with a throw-away certificate, as processor time of this thread: what
else the machine does at that time does not count.
"""

import contextlib
import ssl
from collections.abc import Iterable
from functools import cache
from time import thread_time
from typing import Final

from certs.keys.signing_key import KeyAlgorithm, KeyFamily
from proxy.tls.openssl import libssl
from proxy.tls.openssl.stand_in import stand_in
from proxy.tls.wire.groups import NamedGroup

SLOW_SECONDS: Final = 0.003
"""From here on an exchange is too long for an event loop. In each of its turns it makes up to eight
steps of handshakes (`step_queue`), and others should not wait for more than 25 ms."""

# The first one loads code: the least of them counts.
_TRIES: Final = 2
_CHEAP: Final = KeyAlgorithm(KeyFamily.ECDSA, 256)


def slow_groups(groups: Iterable[NamedGroup]) -> dict[int, float]:
    """Those that are too slow for an event loop: their seconds by their code points."""
    costs = {group.code_point: exchange_seconds(group.name) for group in groups}
    return {code_point: seconds for code_point, seconds in costs.items() if seconds > SLOW_SECONDS}


@cache
def exchange_seconds(group: str) -> float:
    """The processor time of a server's flight with this group and a cheap signature.

    It is 0 for a group with which no flight can be made: that costs nothing.
    """
    least = float("inf")
    for _ in range(_TRIES):
        try:
            least = min(least, _one_exchange(group))
        except (ssl.SSLError, libssl.LibsslError):
            return 0.0
        if least < SLOW_SECONDS:
            break
    return least


def _one_exchange(group: str) -> float:
    to_client = ssl.MemoryBIO()
    to_server = ssl.MemoryBIO()
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (client, server):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        libssl.set_groups(context, group)
    server.load_cert_chain(stand_in(_CHEAP).certificate_path, stand_in(_CHEAP).key_pem_path)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.wrap_bio(to_client, to_server).do_handshake()
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    began = thread_time()
    with contextlib.suppress(ssl.SSLWantReadError):
        answering.do_handshake()
    return thread_time() - began
