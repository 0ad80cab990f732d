"""Active checks: ask each server for its health, and report changes.

One process runs the checks for all workers. Each check uses a new connection: a kept one would not
show whether a server still takes new ones. Sometimes this process cannot make a check, because it
has no descriptor, no memory or no port left. That says nothing about a server, so the earlier
verdict stays.
"""

import asyncio
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from config.schema import HttpProtocol, ServerAddress
from config.tables.upstream import ProxyHeaderVersion
from proxy.http.head import Header
from proxy.net.shortage import HELD_UP_SECONDS, is_own_shortage
from proxy.upstream.health.connection import opened
from proxy.upstream.health.status import http1_status, http2_status

_USER_AGENT: Final = "plexigate-health"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What one server is asked, how often, and which answers are good."""

    upstream: str
    address: ServerAddress
    host: str
    path: str | None
    """Is None where a connection that succeeds is a good answer."""
    interval_seconds: float
    jitter: float
    """The share of the interval by which it varies, up and down."""
    timeout_seconds: float
    rise: int
    fall: int
    statuses: tuple[int, int]
    tls: ssl.SSLContext | None
    server_name: str
    """To verify, where there is TLS."""
    http: HttpProtocol = HttpProtocol.HTTP_1
    proxy_header: ProxyHeaderVersion | None = None
    """Of the header that the server wants first, if it wants one."""

    @property
    def server(self) -> str:
        """The name of the server within its upstream."""
        return str(self.address)


class CheckNotMade(Exception):
    """This process could not ask; the text says why."""


class HealthObserver(Protocol):
    """Who is told what checks have found."""

    def why_not_ask(self) -> str | None:
        """Why this process cannot check servers now; None if it can."""

    def found(self, upstream: str, server: str, *, is_up: bool) -> None:
        """The verdict on a server has changed, or is known at last."""

    def not_made(self, upstream: str, server: str, reason: str) -> None:
        """A check could not be made: what was known of the server stays."""

    def made(self, upstream: str, server: str) -> None:
        """A check was made, with a good or a bad result."""


class Streak:
    """The verdict on one server: `fall` bad answers in a row make it down, `rise` good ones up."""

    def __init__(self, rise: int, fall: int, *, is_up: bool | None = None) -> None:
        """`is_up` None: nothing is known, so that the first answer decides."""
        self._rise = rise
        self._fall = fall
        self.is_up = is_up
        self._against = 0

    def answered(self, *, is_good: bool) -> bool:
        """Count an answer. Returns whether the verdict has changed."""
        if is_good is self.is_up:
            self._against = 0
            return False
        self._against += 1
        needed = 1 if self.is_up is None else self._rise if is_good else self._fall
        if self._against < needed:
            return False
        self.is_up = is_good
        self._against = 0
        return True


class HealthChecker:
    """Runs all checks of one configuration."""

    def __init__(
        self,
        checks: Sequence[HealthCheck],
        herald: HealthObserver,
        known: Mapping[tuple[str, str], bool],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`known` are the verdicts of the checker before. `chance` is uniform within [0, 1)."""
        self._checks = {
            check: Streak(check.rise, check.fall, is_up=known.get((check.upstream, check.server))) for check in checks
        }
        self._herald = herald
        self._sleep = sleep
        self._chance = chance

    async def run(self) -> None:
        """Check until this is cancelled."""
        async with asyncio.TaskGroup() as group:
            for check, streak in self._checks.items():
                group.create_task(self._watch(check, streak))

    async def _watch(self, check: HealthCheck, streak: Streak) -> None:
        while True:
            await self._look(check, streak)
            await self._sleep(check.interval_seconds * (1.0 + check.jitter * (2.0 * self._chance() - 1.0)))

    async def _look(self, check: HealthCheck, streak: Streak) -> None:
        try:
            if (reason := self._herald.why_not_ask()) is not None:
                raise CheckNotMade(reason)  # noqa: TRY301 - one way out for all that is ours
            is_good = await ask(check)
        except CheckNotMade as error:
            self._herald.not_made(check.upstream, check.server, str(error))
            return
        self._herald.made(check.upstream, check.server)
        if streak.answered(is_good=is_good):
            self._herald.found(check.upstream, check.server, is_up=is_good)


async def ask(check: HealthCheck) -> bool:
    """Ask once. Returns whether the answer was good and came in time. Raises `CheckNotMade`."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await _ask(check)
    except TimeoutError:
        late = loop.time() - began - check.timeout_seconds
        if late > HELD_UP_SECONDS:
            raise CheckNotMade(f"this process was stalled for {late:.1f} s") from None
    except OSError as error:
        if is_own_shortage(error, check.address.host):
            raise CheckNotMade(error.strerror or str(error)) from error
    except (RuntimeError, MemoryError) as error:
        # for example no thread is left, or the loop ends: the server has no part in it
        raise CheckNotMade(f"{type(error).__name__}: {error}") from error
    return False


async def _ask(check: HealthCheck) -> bool:
    least, most = check.statuses
    connection = opened(check.address, check.proxy_header, check.tls, check.server_name)
    async with asyncio.timeout(check.timeout_seconds), connection as (reader, writer):
        if check.path is None:
            return True
        if check.http is HttpProtocol.HTTP_2:
            status = await http2_status(reader, writer, _fields(check))
        else:
            status = await http1_status(reader, writer, _request(check))
    return least <= status <= most


def _request(check: HealthCheck) -> bytes:
    lines = (f"GET {check.path} HTTP/1.1", f"Host: {check.host}", f"User-Agent: {_USER_AGENT}", "Connection: close")
    return "\r\n".join((*lines, "", "")).encode("ascii")


def _fields(check: HealthCheck) -> list[Header]:
    return [
        (b":method", b"GET"),
        (b":scheme", b"http" if check.tls is None else b"https"),
        (b":authority", check.host.encode("ascii")),
        (b":path", (check.path or "/").encode("ascii")),
        (b"user-agent", _USER_AGENT.encode("ascii")),
    ]
