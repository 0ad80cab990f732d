"""What the proxy shows to CAs, and of its own CAs. The parent keeps it, each worker has a copy.

Challenges of http-01 are tokens, each with its answer. For tls-alpn-01 a name can have only one
challenge at a time, because the ClientHello names only the server (RFC 8737 section 3). So an order
waits until another order for the same name has withdrawn its challenge.

The revocation lists of internal CAs stand at addresses without TLS too.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import Question, ShowChallenges
from proxy.tls.handshake.challenge import TlsChallenge


class Telling(Protocol):
    """The part of a `Workforce` that this module uses."""

    async def tell_all(self, order: Question[Done], descriptors: Sequence[int] = ()) -> None:
        """Tell every worker the same, and wait until all that are not stuck have heard."""


class Challenges:
    def __init__(self, workforce: Telling) -> None:
        self._workforce = workforce
        self._pending: dict[str, TlsChallenge] = {}
        self._tokens: dict[str, str] = {}
        self._lists: Mapping[str, bytes] = {}
        self._changed = asyncio.Condition()

    @property
    def tokens(self) -> Mapping[str, str]:
        """The challenges of http-01: token -> key authorization."""
        return self._tokens

    @property
    def shown(self) -> ShowChallenges:
        return ShowChallenges(tuple(self._pending.values()), dict(self._tokens), self._lists)

    async def present(self, challenge: TlsChallenge) -> None:
        """Wait until the name is free, and then until every worker shows the challenge."""
        async with self._changed:
            await self._changed.wait_for(lambda: challenge.name not in self._pending)
            self._pending[challenge.name] = challenge
        try:
            await self._tell()
        except BaseException:
            await self.withdraw(challenge)
            raise

    async def withdraw(self, challenge: TlsChallenge) -> None:
        """Wait until no worker shows the challenge any more. The name is then free."""
        async with self._changed:
            if self._pending.get(challenge.name) == challenge:
                del self._pending[challenge.name]
            self._changed.notify_all()
        await self._tell()

    async def present_token(self, token: str, key_authorization: str) -> None:
        """Wait until every worker answers for a token. A CA makes a token for one order."""
        self._tokens[token] = key_authorization
        try:
            await self._tell()
        except BaseException:
            await self.withdraw_token(token)
            raise

    async def withdraw_token(self, token: str) -> None:
        """Wait until no worker answers for the token any more."""
        self._tokens.pop(token, None)
        await self._tell()

    async def follow(self, challenges: Sequence[TlsChallenge], tokens: Mapping[str, str]) -> None:
        """Wait until every worker shows exactly these challenges: those of the fleet."""
        self._pending = {one.name: one for one in challenges}
        self._tokens = dict(tokens)
        await self._tell()

    async def show_lists(self, lists: Mapping[str, bytes]) -> None:
        """Wait until every worker shows exactly these revocation lists."""
        if lists != self._lists:
            self._lists = lists
            await self._tell()

    async def _tell(self) -> None:
        await self._workforce.tell_all(self.shown)
