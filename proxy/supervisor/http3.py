"""Offers HTTP/3 to clients where it can be reached: shakes hands with each listener by UDP, first
and then every five minutes, and has the workers say in their answers what came of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from proxy.observe.events.event import Tell
from proxy.observe.events.process import Http3NotOffered, Http3Offered
from proxy.observe.scrape import Http3Facts
from proxy.quic.advertisement import OFF, Advertisement, RememberedOffer
from proxy.quic.doors import Http3Door
from proxy.quic.probing import QuicProbe

_LOOK_SECONDS: Final = 5.0
"""Between two looks for what is due: a reload brings other listeners."""
_AGAIN_SECONDS: Final = 300.0
_RETRY_SECONDS: Final = 30.0


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

    @property
    def remembered(self) -> tuple[RememberedOffer, ...]:
        """What clients remember, for the process that takes over in an upgrade."""
        now = self._ticks()
        left = {name: one.forgotten_at(now) - now for name, one in self._said.items()}
        return tuple(RememberedOffer(name, self._said[name].port, one) for name, one in left.items() if one > 0)

    def adopt(self, remembered: Sequence[RememberedOffer]) -> None:
        """Take what an older process has offered. `run` withdraws what is offered no more."""
        now = self._ticks()
        for one in remembered:
            self._said[one.listener] = Advertisement(one.port, remembered_until=now + one.seconds)

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
