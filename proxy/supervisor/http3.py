"""Offers HTTP/3 to clients where it can be reached: shakes hands with each listener by UDP, first
and then every five minutes, and has the workers say in their answers what came of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from config.schema import ClientCertificateMode, Config
from config.values.addresses import Bind, parse_bind
from proxy.observe.events.event import Tell
from proxy.observe.events.process import Http3NotOffered, Http3Offered
from proxy.observe.scrape import Http3Facts
from proxy.quic.advertisement import OFF, Advertisement
from proxy.quic.availability import unavailable
from proxy.rotation.pinned import name_to_ask_for

_LOOK_SECONDS: Final = 5.0
"""Between two looks for what is due: a reload brings other listeners."""
_AGAIN_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 30.0
_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}


class QuicProbe(Protocol):
    async def __call__(self, address: tuple[str, int], name: str) -> str | None:
        """Shake hands by QUIC at a UDP address, with this server name (none if it is an address).

        Returns why that failed, or None. It has a deadline, and raises nothing.
        """


async def probe(address: tuple[str, int], name: str) -> str | None:
    """See `QuicProbe`."""
    del address, name
    return unavailable() or "this version has no client for it"


@dataclass(frozen=True, slots=True)
class Http3Door:
    """Where a listener serves HTTP/3: the address to try it at, by which server name.

    `port` is the one that clients reach.
    """

    address: tuple[str, int]
    port: int
    name: str


def http3_doors(config: Config, addresses: Mapping[str, Sequence[str]]) -> dict[str, Http3Door]:
    """The first door of each listener that is to serve HTTP/3, by the addresses in use."""
    doors = {}
    for name, listener in config.listener.items():
        in_use = addresses.get(name)
        if listener.http3 and in_use:
            bind = parse_bind(in_use[0])
            doors[name] = Http3Door(_reached(bind), listener.http3_port or bind.port, _server_name(config))
    return doors


def _reached(bind: Bind) -> tuple[str, int]:
    return _LOOPBACK[bind.host.version] if bind.host.is_unspecified else str(bind.host), bind.port


def _server_name(config: Config) -> str:
    """The first name, if possible of an identity that takes clients without a certificate."""

    def demands_certificate(identity: str) -> bool:
        clients = config.identity[identity].client_certificates
        return clients is not None and clients.mode is ClientCertificateMode.REQUIRE

    first = min(config.identity, key=demands_certificate)
    return name_to_ask_for(config.identity[first].names)


class Http3Offers:
    """Runs for as long as the parent does."""

    def __init__(
        self,
        doors: Callable[[], Mapping[str, Http3Door]],
        probe: QuicProbe,
        say: Callable[[Mapping[str, bytes]], Awaitable[None]],
        tell: Tell,
        ticks: Callable[[], float],
    ) -> None:
        """`doors` are those of the configuration that is served; `ticks` gives seconds.

        `say` has the workers say exactly these values of Alt-Svc, by listener.
        """
        self._doors = doors
        self._probe = probe
        self._say = say
        self._tell = tell
        self._ticks = ticks
        self._tried: dict[str, Http3Door] = {}
        self._due_at: dict[str, float] = {}
        self._said: dict[str, Advertisement] = {}
        self._values: Mapping[str, bytes] = {}

    def facts(self) -> dict[str, Http3Facts]:
        """Of each listener with `http3`, whether its answers offer it."""
        return {name: Http3Facts(self._said[name].port, self._said[name].fault) for name in self._tried}

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Try what is due, and tell the workers what has changed."""
        doors = self._doors()
        for name in [one for one in self._said if one not in doors]:
            self._tried.pop(name, None)
            self._note(name, OFF)
        for name, door in doors.items():
            if self._tried.get(name) != door or self._due_at[name] <= self._ticks():
                await self._try(name, door)
        now = self._ticks()
        values = {name: value for name, one in self._said.items() if (value := one.value(now))}
        if values != self._values:
            self._values = values
            await self._say(values)

    async def _try(self, name: str, door: Http3Door) -> None:
        fault = await self._probe(door.address, door.name)
        self._tried[name] = door
        self._due_at[name] = self._ticks() + (_AGAIN_SECONDS if fault is None else _RETRY_SECONDS)
        self._said[name] = self._said.get(name, Advertisement(door.port)).at_port(door.port)
        self._note(name, fault)

    def _note(self, name: str, fault: str | None) -> None:
        before = self._said[name]
        after = self._said[name] = before.after(fault, self._ticks())
        if before.fault == fault:
            return
        if fault is None:
            self._tell(Http3Offered(name, after.port))
        else:
            self._tell(Http3NotOffered(name, fault))
