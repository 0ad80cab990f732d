"""What CAs may be shown now: the parent keeps the list, every worker has a copy, those that join later too.

A name can be shown one challenge of tls-alpn-01 at a time, because a hello has nothing but the name in it (RFC 8737 section 3). So
an order waits until another one for the same name has taken its own back.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from proxy.supervisor.channel import Body
from proxy.supervisor.questions import challenges_as_json
from proxy.tls.challenges import TlsChallenge


class Telling(Protocol):
    """The part of a `Fleet` that is needed here."""

    async def tell_all(self, kind: str, body: Body, descriptors: Sequence[int] = ()) -> None:
        """Tell every worker the same, and wait until all that are not stuck have heard."""


class Challenges:
    """Those that are pending."""

    def __init__(self, fleet: Telling) -> None:
        """None is."""
        self._fleet = fleet
        self._pending: dict[str, TlsChallenge] = {}
        self._changed = asyncio.Condition()

    @property
    def pending(self) -> Collection[TlsChallenge]:
        """All of them."""
        return tuple(self._pending.values())

    async def present(self, challenge: TlsChallenge) -> None:
        """Answers when every worker shows it; waits for its turn before."""
        async with self._changed:
            await self._changed.wait_for(lambda: challenge.name not in self._pending)
            self._pending[challenge.name] = challenge
        try:
            await self._tell()
        except BaseException:
            await self.withdraw(challenge)
            raise

    async def withdraw(self, challenge: TlsChallenge) -> None:
        """Answers when no worker shows it any more; the next one for the name may come."""
        async with self._changed:
            if self._pending.get(challenge.name) == challenge:
                del self._pending[challenge.name]
            self._changed.notify_all()
        await self._tell()

    async def _tell(self) -> None:
        await self._fleet.tell_all("challenges", {"pending": challenges_as_json(self.pending)})
