"""Challenges of a CA (tls-alpn-01, RFC 8737) that this worker may be asked about, by server name.

A context is made when a CA asks for the first time, with a key of its own: a worker that hears of a
thousand challenges at once must not make a thousand keys before its loop continues.
"""

import os
import ssl
from collections.abc import Iterable
from typing import Final

from certs.acme.challenges.certificate import ALPN, challenge_certificate, server_name_of
from proxy.tls.handshake.challenge import TlsChallenge

CHALLENGE_ALPN: Final = ALPN.encode()


class PendingChallenges:
    def __init__(self) -> None:
        self._pending: dict[str, TlsChallenge] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}

    def follow(self, challenges: Iterable[TlsChallenge]) -> None:
        before = self._pending
        self._pending = {server_name_of(one.name): one for one in challenges}
        kept = self._contexts.keys() & {name for name, one in self._pending.items() if before.get(name) == one}
        self._contexts = {name: self._contexts[name] for name in kept}

    def context_for(self, server_name: str | None) -> ssl.SSLContext | None:
        """The context that answers a hello for a name; None if no challenge is pending for it."""
        if server_name is None or (challenge := self._pending.get(server_name)) is None:
            return None
        context = self._contexts.get(server_name)
        if context is None:
            context = self._contexts[server_name] = _context(challenge)
        return context


def _context(challenge: TlsChallenge) -> ssl.SSLContext:
    """Accept all groups and suites that a CA may have: it is only shown a digest."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    context.num_tickets = 0
    descriptor = os.memfd_create("challenge", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, challenge_certificate(challenge.name, challenge.digest))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context
