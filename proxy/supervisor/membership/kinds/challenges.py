"""Challenges in a fleet: a CA may ask any node, so all of them show what one is asked for.

A node writes a challenge, waits until every node that is alive has said that it shows it, and then
tells the CA. A node that does not answer holds that up for some seconds only: it may be down. A
challenge of a node that has ended stays, because the next leader goes on with its order; it
disappears by itself.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Final

from certs.acme.challenges.proofs import PresentingFailed, Proof
from config.tables.issuers import AcmeChallenge
from proxy.net.in_thread import LoopEnded, in_loop
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.rows import ChallengeRow
from proxy.supervisor.membership.shared import Conflict
from proxy.supervisor.membership.shared_kind import NOT_WRITTEN, FleetNode, SharedKind
from proxy.tls.handshake.challenge import TlsChallenge

_LASTS_SECONDS: Final = 900
"""An order takes ten minutes at most, by default."""
_DOWN_SECONDS: Final = 5.0
"""So long a node that does not answer is waited for."""
_RETRY_SECONDS: Final = 1.0
_SHOWN_WITHIN_SECONDS: Final = 60.0
"""All of it, with the wait for another order for the same name."""

Show = Callable[[Sequence[TlsChallenge], Mapping[str, str]], Awaitable[None]]
"""Has all workers show exactly these challenges of tls-alpn-01, and tokens of http-01."""


class FleetChallenges(Entries[ChallengeRow]):
    """A `certs.acme.challenges.proofs.Solver` of tls-alpn-01 and http-01."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        show: Show,
        alive: Callable[[], Collection[str]],
        seconds: float = _DOWN_SECONDS,
    ) -> None:
        """`alive` are nodes of the fleet; one of them is waited for at most `seconds`."""
        super().__init__("challenges/", ChallengeRow.read)
        self._loop = loop
        self._show = show
        self._alive = alive
        self._seconds = seconds
        self._node: FleetNode | None = None
        self._shown = Entries("shown/", lambda names: frozenset(map(str, names)))
        """By node, the challenges that it shows."""

    @property
    def kinds(self) -> Sequence[SharedKind]:
        return self, self._shown

    async def run(self, node: FleetNode) -> None:
        self._node = node
        followed: Mapping[str, ChallengeRow] | None = {}
        while True:
            await self.until(lambda: self.values != followed)  # noqa: B023 - of this moment
            followed = dict(self.values)
            rows = list(followed.values())
            await self._show(
                [TlsChallenge(one.token, bytes.fromhex(one.answer)) for one in rows if one.kind == _TLS],
                {one.token: one.answer for one in rows if one.kind != _TLS},
            )
            if rows:
                try:
                    shown = sorted(map(_digest, rows))
                    await node.write({f"shown/{node.name}": shown}, lasts_seconds=_LASTS_SECONDS)
                except NOT_WRITTEN:
                    await asyncio.sleep(_RETRY_SECONDS)
                    followed = None

    # -- what an order asks

    def present(self, proof: Proof) -> None:
        """Wait until every node shows the proof. Raises `PresentingFailed`."""
        self._in_loop(self._present(*_row(proof)), proof)

    def withdraw(self, proof: Proof) -> None:
        """Let no node show the proof any more. Raises `PresentingFailed`."""
        name, _ = _row(proof)
        self._in_loop(self._write({f"challenges/{name}": None}), proof)

    async def _present(self, name: str, row: ChallengeRow) -> None:
        # that of a leader which has ended is the same one; else another order has to end
        await self.until(lambda: self.values.get(name) in (None, row))
        if name not in self.values:
            await self._write({f"challenges/{name}": row.as_json()})
        digest = _digest(row)

        def shows(node: str) -> bool:
            return digest in self._shown.values.get(node, ())

        assert self._node is not None  # it has written
        own = self._node.name
        await self._shown.until(lambda: shows(own))
        try:
            async with asyncio.timeout(self._seconds):
                await self._shown.until(lambda: all(map(shows, self._alive())))
        except TimeoutError:
            return  # a node that is down is asked by no CA

    async def _write(self, contents: Mapping[str, object | None]) -> None:
        if self._node is None:
            raise PresentingFailed("the fleet cannot show it: this node has not begun")
        try:
            await self._node.write(contents, lasts_seconds=_LASTS_SECONDS)
        except NOT_WRITTEN as error:
            reason = "another node has written the same" if isinstance(error, Conflict) else str(error)
            raise PresentingFailed(f"the fleet cannot show it: {reason}") from None

    def _in_loop(self, work: Coroutine[None, None, None], proof: Proof) -> None:
        try:
            in_loop(self._loop, work, _SHOWN_WITHIN_SECONDS)
        except LoopEnded:
            raise PresentingFailed("the proxy is ending") from None
        except TimeoutError:
            reason = f"no node has confirmed it within {_SHOWN_WITHIN_SECONDS:g} s, or another order for {proof.name} goes on"
            raise PresentingFailed(reason) from None


_TLS: Final = AcmeChallenge.TLS_ALPN_01.value


def _row(proof: Proof) -> tuple[str, ChallengeRow]:
    """The name in the store, and what stands there. Raises `PresentingFailed`."""
    match proof.kind:
        case AcmeChallenge.TLS_ALPN_01:
            # a name can have one challenge at a time: the hello names only the server
            return f"{proof.kind}/{proof.name}", ChallengeRow(proof.kind, proof.name, proof.digest.hex())
        case AcmeChallenge.HTTP_01:
            return f"{proof.kind}/{proof.token}", ChallengeRow(proof.kind, proof.token, proof.key_authorization)
        case AcmeChallenge.DNS_01:
            raise PresentingFailed("dns-01 without a hook")


def _digest(row: ChallengeRow) -> str:
    return hashlib.sha256("\n".join((row.kind, row.token, row.answer)).encode()).hexdigest()[:16]
