"""Show proofs to CAs by what the workers serve: their listeners (tls-alpn-01), and the plain one
beside them (http-01).

An issuer works in a thread of its own, and the parent's loop does the showing.
"""

import asyncio
from collections.abc import Coroutine
from typing import Final

from certs.acme.challenges import ChallengeKind, PresentingFailed, Proof
from certs.acme.making import Showing
from proxy.observe.events.certificates import AcmeProgress
from proxy.observe.events.event import Tell
from proxy.supervisor.challenges import Challenges, Telling
from proxy.tls.challenge import TlsChallenge

# Workers hear within milliseconds; an order for the same name takes seconds, mostly.
_SHOWN_WITHIN_SECONDS: Final = 60.0


class Proofs:
    """What CAs may be shown, by the workers: the `challenges`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Telling, tell: Tell) -> None:
        """The workers show proofs from the first challenge on. `tell` is called in the loop."""
        self._loop = loop
        self._tell = tell
        self.challenges: Final = Challenges(fleet)
        solver = ListenerSolver(loop, self.challenges, _SHOWN_WITHIN_SECONDS)
        self.showing: Final = Showing(solver, self._told)
        """For issuers, which work in other threads."""

    def _told(self, line: str) -> None:
        self._loop.call_soon_threadsafe(self._tell, AcmeProgress(line))


class ListenerSolver:
    """A `certs.acme.challenges.Solver` of tls-alpn-01 and http-01."""

    def __init__(self, loop: asyncio.AbstractEventLoop, challenges: Challenges, seconds: float) -> None:
        """`seconds`: how long to wait until all workers have heard, or until an order for the same
        name is out of the way.
        """
        self._loop = loop
        self._challenges = challenges
        self._seconds = seconds

    def present(self, proof: Proof) -> None:
        """Answers when every worker would answer. Raises `PresentingFailed`."""
        match proof.kind:
            case ChallengeKind.TLS_ALPN_01:
                self._in_loop(self._challenges.present(TlsChallenge(proof.name, proof.digest)), proof)
            case ChallengeKind.HTTP_01:
                self._in_loop(self._challenges.present_token(proof.token, proof.key_authorization), proof)
            case ChallengeKind.DNS_01:
                raise PresentingFailed("dns-01 without a hook")

    def withdraw(self, proof: Proof) -> None:
        """Take it back. Raises `PresentingFailed`."""
        match proof.kind:
            case ChallengeKind.TLS_ALPN_01:
                self._in_loop(self._challenges.withdraw(TlsChallenge(proof.name, proof.digest)), proof)
            case _:
                self._in_loop(self._challenges.withdraw_token(proof.token), proof)

    def _in_loop(self, work: Coroutine[None, None, None], proof: Proof) -> None:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:
            work.close()
            raise PresentingFailed("the proxy is ending") from None
        try:
            future.result(self._seconds)
        except TimeoutError:
            future.cancel()  # what it has done already, it undoes
            reason = f"the workers did not all hear of it within {self._seconds:g} s, or another order for {proof.name} goes on"
            raise PresentingFailed(reason) from None
