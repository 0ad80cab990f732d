"""The servers of one `[upstream.NAME]`: which one a request goes to, and which take requests.

Theory of operation. Each change in the standing of a server (a check, a drain, an ejection and its
end) calls `_refresh`, which settles the tuple of usable servers. A request only picks from that
tuple, so an upstream with one server costs one look at it. All of this belongs to one worker; only
the verdicts of the active checks are the same in all workers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from config.tables.upstream import Balance, HashKind, HashSource
from proxy.figures.snapshot import ServerCounts
from proxy.http.fields import cookie_value
from proxy.http.head import Header
from proxy.upstream.pooling.failures import UpstreamFailure, UpstreamFault
from proxy.upstream.servers.balancing import ConsistentHash, in_turn, least_loaded
from proxy.upstream.servers.ejection import may_leave_out
from proxy.upstream.servers.retry_budget import RetryBudget
from proxy.upstream.servers.server import Server
from proxy.upstream.servers.sticky import CookieSettings, StickyCookie

# For the case that the time is unknown: an operator has drained every server.
_RETRY_AFTER_DRAIN: Final = 10
_LONGEST_RETRY_AFTER: Final = 300


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """How to choose servers, and what happens to requests that a server failed."""

    balance: Balance
    hash_on: HashSource | None
    """For `Balance.CONSISTENT_HASH`."""
    cookie: CookieSettings | None
    """For `Balance.STICKY_COOKIE`."""
    retry_percent: float
    retries_per_second: float
    most_ejected_percent: int
    recovery_seconds: float | None
    """How long a server that is down takes at least to be found up; None without active checks."""


class RequestFacts(NamedTuple):
    """What a choice may depend on."""

    address: bytes
    """The client's, as text."""
    headers: Sequence[Header]
    now: float
    """UNIX seconds."""


class Upstream:
    def __init__(self, name: str, servers: Sequence[Server], rules: UpstreamRules, clock: Callable[[], float]) -> None:
        """`clock` gives loop time. The servers are this upstream's from now on."""
        self.name = name
        self.servers = tuple(servers)
        self.rules = rules
        self._clock = clock
        self._requests = 0
        self._budget = RetryBudget(rules.retry_percent, rules.retries_per_second, clock())
        self._hash = ConsistentHash()
        self._sticky: StickyCookie | None = None
        if rules.cookie is not None:
            self._sticky = StickyCookie(rules.cookie, name, [server.name for server in servers])
        self.reads_requests: Final = rules.hash_on is not None or rules.cookie is not None
        """Whether `choose` needs the facts of a request."""
        self._by_name = {server.name: server for server in self.servers}
        self._usable = self.servers
        self._is_warming = False
        for server in self.servers:
            server.changed = self._refresh
        self._refresh()

    def _refresh(self) -> None:
        self._usable = _usable(self.servers, self.rules.most_ejected_percent)
        self._is_warming = _warm(self.servers, self._clock())

    # -- requests

    def choose(self, facts: RequestFacts | None = None, tried: Sequence[Server] = ()) -> Server | None:
        """Pick a server that was not tried yet; None if there is none left."""
        usable = self._usable
        if tried:
            usable = tuple(one for one in usable if one not in tried)
        else:
            self._requests += 1
        if len(usable) <= 1:
            return usable[0] if usable else None
        if self._is_warming:
            self._is_warming = _warm(self.servers, self._clock())
        return self._pick(usable, facts)

    def has_another(self, tried: Sequence[Server]) -> bool:
        """Whether `choose` finds one that was not tried yet."""
        return any(one not in tried for one in self._usable)

    def _pick(self, usable: Sequence[Server], facts: RequestFacts | None) -> Server:
        match self.rules.balance:
            case Balance.ROUND_ROBIN:
                return in_turn(usable)
            case Balance.CONSISTENT_HASH:
                key = None if facts is None else self._hash_key(facts)
                return least_loaded(usable) if key is None else self._hash.pick(usable, key)
            case Balance.STICKY_COOKIE:
                bound = None if facts is None else self._bound(facts)
                server = None if bound is None else self._by_name[bound[0]]
                return server if server in usable and server is not None else least_loaded(usable)
            case Balance.LEAST_CONNECTIONS:
                return least_loaded(usable)

    def _hash_key(self, facts: RequestFacts) -> bytes | None:
        source = self.rules.hash_on
        assert source is not None  # the balance needs it
        if source.kind is HashKind.ADDRESS:
            return facts.address
        name = source.name.encode("ascii")
        if source.kind is HashKind.COOKIE:
            return cookie_value(facts.headers, name)
        return next((value for field, value in facts.headers if field.lower() == name.lower()), None)

    def _bound(self, facts: RequestFacts) -> tuple[str, bool] | None:
        sticky = self._sticky
        assert sticky is not None  # the balance needs it
        value = cookie_value(facts.headers, sticky.name)
        return None if value is None else sticky.server(value, facts.now)

    def binding(self, facts: RequestFacts, server: Server) -> bytes:
        """The field line that binds the client to its server; empty if the client has one."""
        if self._sticky is None or self._bound(facts) == (server.name, False):
            return b""
        return self._sticky.set_cookie(server.name, facts.now)

    def last_word(self, failure: UpstreamFailure, tried: Sequence[Server]) -> UpstreamFailure | None:
        """The failure to answer with if a server could not take a request.

        None if another server may be tried within the budget.
        """
        if failure.fault is UpstreamFault.BUSY or len(tried) == len(self.servers):
            return failure
        if not self.may_retry():
            return UpstreamFailure(failure.fault, f"{failure.detail}; the retry budget is spent")
        return None

    def may_retry(self) -> bool:
        """Whether the budget allows one more retry. If it does, the retry is taken from it."""
        return self._budget.take(self._requests, self._clock())

    @property
    def retry_after(self) -> int:
        """Seconds after which a client that found no usable server should try again."""
        seconds = self.rules.recovery_seconds
        if seconds is None or not any(server.is_down for server in self.servers):
            return _RETRY_AFTER_DRAIN
        return min(max(1, math.ceil(seconds)), _LONGEST_RETRY_AFTER)

    # -- servers

    def statistics(self) -> tuple[ServerCounts, ...]:
        """The state and the figures of each server."""
        _warm(self.servers, self._clock())
        return tuple(server.statistics(self.name) for server in self.servers)

    def standing(self) -> tuple[tuple[str, str, str, bool], ...]:
        """For each server: upstream, server, state, and whether connecting to it fails."""
        return tuple((self.name, one.name, str(one.state), one.is_unreachable) for one in self.servers)

    def apply_health(self, server: str, is_up: bool) -> None:  # noqa: FBT001 - the verdict itself
        """Take a verdict of the active checks; ignore it if a reload has removed the server."""
        found = self._by_name.get(server)
        if found is not None:
            found.check_told(is_up=is_up)

    def drain(self, server: str, seconds: float) -> None:
        """Give a server no new requests; WebSockets may stay `seconds`. Raises `KeyError`."""
        self._by_name[server].drain(seconds)

    def undrain(self, server: str) -> None:
        """Let it take requests again. Raises `KeyError`."""
        self._by_name[server].undrain()


def _usable(servers: tuple[Server, ...], most_ejected_percent: int) -> tuple[Server, ...]:
    takers = tuple(server for server in servers if server.may_be_chosen)
    left = tuple(server for server in takers if not server.is_ejected)
    return left if may_leave_out(len(takers) - len(left), len(takers), most_ejected_percent) else takers


def _warm(servers: tuple[Server, ...], now: float) -> bool:
    """Settle the shares. Returns whether any of them still grows."""
    return sum(server.warm(now) for server in servers) > 0
