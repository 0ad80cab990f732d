"""What CAs may be shown now: the parent keeps the list, every worker has a copy, those that join
later too.

Those of http-01 are tokens, each with what it is answered with. A name can be shown one challenge
of tls-alpn-01 at a time, because a hello has nothing but the name in it (RFC 8737 section 3). So an
order waits until another one for the same name has taken its own back.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import Question, ShowChallenges
from proxy.tls.challenge import TlsChallenge


class Telling(Protocol):
    """The part of a `Fleet` that is needed here."""

    async def tell_all(self, order: Question[Done], descriptors: Sequence[int] = ()) -> None:
        """Tell every worker the same, and wait until all that are not stuck have heard."""


class Challenges:
    """Those that are pending."""

    def __init__(self, fleet: Telling) -> None:
        """The set is empty at first."""
        self._fleet = fleet
        self._pending: dict[str, TlsChallenge] = {}
        self._tokens: dict[str, str] = {}
        self._changed = asyncio.Condition()

    @property
    def pending(self) -> Collection[TlsChallenge]:
        """All of tls-alpn-01."""
        return tuple(self._pending.values())

    @property
    def tokens(self) -> Mapping[str, str]:
        """All of http-01: token -> key authorization."""
        return self._tokens

    @property
    def shown(self) -> ShowChallenges:
        """All of them, for a worker."""
        return ShowChallenges(tuple(self._pending.values()), dict(self._tokens))

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

    async def present_token(self, token: str, key_authorization: str) -> None:
        """Answers when every worker answers for a token, which a CA has made for one order."""
        self._tokens[token] = key_authorization
        try:
            await self._tell()
        except BaseException:
            await self.withdraw_token(token)
            raise

    async def withdraw_token(self, token: str) -> None:
        """Answers when no worker answers for it any more."""
        self._tokens.pop(token, None)
        await self._tell()

    async def _tell(self) -> None:
        await self._fleet.tell_all(self.shown)
