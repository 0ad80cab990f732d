"""Logs from time to time how many connections were refused or closed to make room, and from which
clients.

Each connection is counted, but does not get a line of its own: a flood would fill the disk and hide
other lines. The first line comes one second after the first connection, so that it has a number;
then one line each `_SECONDS` while connections are refused.
"""

from asyncio import AbstractEventLoop, TimerHandle
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from proxy.figures.heavy_hitters import HeavyHitters
from proxy.limits.reasons import ConnectionReason
from proxy.observe.events.clients import TURNED_AWAY, ConnectionsTurnedAway
from proxy.observe.events.event import Tell

_FIRST_SECONDS: Final = 1.0
_SECONDS: Final = 30.0
# Of these, the few with most connections are named.
_KEPT_CLIENTS: Final = 32
_NAMED_CLIENTS: Final = 3
_IPV6_BYTES: Final = 16
_PREFIX_BYTES: Final = 8


class TurnedAway:
    """One per process."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        count: Callable[[str, str], None],
        tell: Tell,
    ) -> None:
        """`count` gets listener and reason of each connection; `tell` an event now and then."""
        self._loop = loop
        self._count = count
        self._tell = tell
        self._reasons: dict[str, Counter[str]] = {}
        self._clients: dict[str, HeavyHitters] = {}
        self._since = 0.0
        self._timer: TimerHandle | None = None

    def stop(self) -> None:
        """Log what was counted since the last line, and stop."""
        if self._timer is not None:
            self._timer.cancel()
            self._say()
            self._timer = None

    def add(self, listener: str, reason: ConnectionReason, client: bytes = b"") -> None:
        """Count a connection. `client` is its network, empty for a reason about no client."""
        self._count(listener, reason)
        if reason not in TURNED_AWAY:
            return
        self._reasons.setdefault(listener, Counter())[reason] += 1
        if client:
            self._clients.setdefault(listener, HeavyHitters(_KEPT_CLIENTS)).add(_shown(client))
        if self._timer is None:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(_FIRST_SECONDS, self._say_and_wait)

    def _say_and_wait(self) -> None:
        self._timer = self._loop.call_later(_SECONDS, self._say_and_wait) if self._reasons else None
        self._say()

    def _say(self) -> None:
        now = self._loop.time()
        seconds, self._since = round(now - self._since, 1), now
        reasons, self._reasons = self._reasons, {}
        clients, self._clients = self._clients, {}
        for listener, counts in reasons.items():
            named = clients[listener].snapshot()["entries"][:_NAMED_CLIENTS] if listener in clients else []
            clients_with_most = {client: count for client, count, _ in named}
            self._tell(ConnectionsTurnedAway(listener, seconds, dict(counts), clients_with_most))


def _shown(client: bytes) -> str:
    if len(client) == _PREFIX_BYTES:
        return f"{ip_address(client.ljust(_IPV6_BYTES, bytes(1)))}/64"
    return str(ip_address(client))
