"""Shows proofs to CAs through the workers: tls-alpn-01 and http-01.

The TLS listeners show tls-alpn-01, and the listener without TLS shows http-01.

An issuer works in a thread of its own. The parent's loop talks to the workers for it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Final

from certs.acme.challenges.proofs import PresentingFailed, Proof, Showing
from config.tables.issuers import AcmeChallenge
from proxy.net.in_thread import LoopEnded, in_loop
from proxy.observe.events.certificates import AcmeProgress
from proxy.observe.events.event import Tell
from proxy.supervisor.challenges import Challenges, Telling
from proxy.tls.handshake.challenge import TlsChallenge

# Workers answer within milliseconds. Another order for the same name mostly takes seconds.
_SHOWN_WITHIN_SECONDS: Final = 60.0


class Proofs:
    """The `challenges` that the workers show to CAs."""

    def __init__(self, loop: asyncio.AbstractEventLoop, workforce: Telling, tell: Tell) -> None:
        """The workers show proofs from the first challenge on. `tell` is called in the loop."""
        self._loop = loop
        self._tell = tell
        self.challenges: Final = Challenges(workforce)
        solver = ListenerSolver(loop, self.challenges, _SHOWN_WITHIN_SECONDS)
        self.showing = Showing(solver, self._told)
        """Shows proofs for issuers, which work in other threads."""

    def _told(self, line: str) -> None:
        self._loop.call_soon_threadsafe(self._tell, AcmeProgress(line))


class ListenerSolver:
    """A `certs.acme.challenges.proofs.Solver` of tls-alpn-01 and http-01."""

    def __init__(self, loop: asyncio.AbstractEventLoop, challenges: Challenges, seconds: float) -> None:
        """`seconds` limits the wait for all workers, and for another order of the same name."""
        self._loop = loop
        self._challenges = challenges
        self._seconds = seconds

    def present(self, proof: Proof) -> None:
        """Wait until every worker shows the proof. Raises `PresentingFailed`."""
        match proof.kind:
            case AcmeChallenge.TLS_ALPN_01:
                self._in_loop(self._challenges.present(TlsChallenge(proof.name, proof.digest)), proof)
            case AcmeChallenge.HTTP_01:
                self._in_loop(self._challenges.present_token(proof.token, proof.key_authorization), proof)
            case AcmeChallenge.DNS_01:
                raise PresentingFailed("dns-01 without a hook")

    def withdraw(self, proof: Proof) -> None:
        """Wait until no worker shows the proof any more. Raises `PresentingFailed`."""
        match proof.kind:
            case AcmeChallenge.TLS_ALPN_01:
                self._in_loop(self._challenges.withdraw(TlsChallenge(proof.name, proof.digest)), proof)
            case _:
                self._in_loop(self._challenges.withdraw_token(proof.token), proof)

    def _in_loop(self, work: Coroutine[None, None, None], proof: Proof) -> None:
        try:
            in_loop(self._loop, work, self._seconds)
        except LoopEnded:
            raise PresentingFailed("the proxy is ending") from None
        except TimeoutError:
            reason = (
                f"not all workers confirmed it within {self._seconds:g} s, or another order for {proof.name} goes on"
            )
            raise PresentingFailed(reason) from None
