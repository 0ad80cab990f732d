"""The servers of upstreams in the parent: it checks and drains them, and tells every worker."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence

from proxy.admin.requests.problems import CommandRefused
from proxy.api.commands import DrainDocument
from proxy.net.tasks import Tasks
from proxy.observe.events.event import Tell
from proxy.observe.events.servers import ServerDown, ServerDraining, ServerUndrained, ServerUp
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.membership.places import Order, drain_order
from proxy.supervisor.verdicts import Verdicts
from proxy.supervisor.workers.workforce import Workforce
from proxy.upstream.health.checks import HealthCheck, HealthChecker
from proxy.upstream.health.unmade_checks import UnmadeChecks


class Servers:
    """The part of the servers' standing that is the same for all workers."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tasks: Tasks,
        workforce: Workforce,
        tell: Tell,
        why_not_ask: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Checks begin with `follow`. `why_not_ask` says why no check can be made, or None."""
        self._tasks = tasks
        self._workforce = workforce
        self._tell = tell
        self._checker: asyncio.Task[None] | None = None
        self._round = 0
        self.verdicts = Verdicts(loop.time)
        self.unmade = UnmadeChecks(tell, loop.time)
        """Checks that could not be made."""
        self.why_not_ask = why_not_ask
        self._configured: Collection[tuple[str, str]] = ()
        self._drained_here: set[tuple[str, str]] = set()
        self.drained_by_fleet: Mapping[tuple[str, str], float] = {}
        """How long WebSockets have, of each server that drains on all nodes of the fleet."""

    def follow(self, configured: Mapping[tuple[str, str], bool], checks: Sequence[HealthCheck]) -> None:
        """Use these checks from now on, and forget servers that are not configured any more.

        The findings about other servers are kept. `configured` says of each server whether it is
        checked. Call this before the workers serve by the new configuration: otherwise the finding
        of a previous check would never be withdrawn.
        """
        self.verdicts.follow(configured)
        self._configured = configured.keys()
        self._drained_here &= self._configured
        self._tasks.start(self.follow_fleet(self.drained_by_fleet))
        self.unmade.follow({(one.upstream, one.server) for one in checks})
        self._round += 1
        if self._checker is not None:
            self._checker.cancel()
            self._checker = None
        if checks:
            checker = HealthChecker(checks, _Round(self, self._round), self.verdicts.health)
            self._checker = self._tasks.start_to_cancel(checker.run())

    async def drain(self, upstream: str, server: str, seconds: float, others: Sequence[str]) -> str | None:
        """Tell all present and future workers to drain a server, its WebSockets within `seconds`.

        The server drains even if none of the `others` of its upstream takes requests: an operator
        may want to restart the only server. Returns a warning in that case.
        """
        warning = None
        if not any(self.verdicts.takes_requests(upstream, one) for one in others):
            warning = f"no other server of upstream {upstream} takes requests: its clients get 503 until one does again"
        self._drained_here.add((upstream, server))
        self._tell(ServerDraining(upstream, server, seconds, warning))
        await self._workforce.tell_all(self.verdicts.draining(upstream, server, seconds))
        return warning

    async def undrain(self, upstream: str, server: str) -> None:
        self._drained_here.discard((upstream, server))
        self._tell(ServerUndrained(upstream, server))
        await self._workforce.tell_all(self.verdicts.undrained(upstream, server))

    async def follow_fleet(self, drains: Mapping[tuple[str, str], float]) -> None:
        """Drain exactly these for the whole fleet. Those that drain on this node alone stay so."""
        ended = [one for one in self.drained_by_fleet if one not in drains]
        self.drained_by_fleet = drains
        for upstream, server in ended:
            if (upstream, server) not in self._drained_here and (upstream, server) in self._configured:
                await self.undrain(upstream, server)
        for (upstream, server), seconds in drains.items():
            if (upstream, server) in self._configured and not self.verdicts.is_draining(upstream, server):
                self._tell(ServerDraining(upstream, server, seconds))
                await self._workforce.tell_all(self.verdicts.draining(upstream, server, seconds))

    def checked_in(self, found_in: int, upstream: str, server: str, *, is_up: bool) -> None:
        if not self.is_present(found_in):
            return  # a late finding of a cancelled checker, which the next one does not know
        self._tell((ServerUp if is_up else ServerDown)(upstream, server))
        self._tasks.start(self._workforce.tell_all(self.verdicts.checked(upstream, server, is_up=is_up)))

    def is_present(self, found_in: int) -> bool:
        """Whether a round of checks belongs to the served edition."""
        return found_in == self._round


class _Round:
    """Takes the findings of one configuration's checks (`HealthObserver`)."""

    def __init__(self, servers: Servers, number: int) -> None:
        self._servers = servers
        self._number = number

    def why_not_ask(self) -> str | None:
        return self._servers.why_not_ask()

    def found(self, upstream: str, server: str, *, is_up: bool) -> None:
        self._servers.checked_in(self._number, upstream, server, is_up=is_up)

    def not_made(self, upstream: str, server: str, reason: str) -> None:
        if self._servers.is_present(self._number):
            self._servers.unmade.not_made((upstream, server), reason)

    def made(self, upstream: str, server: str) -> None:
        if self._servers.is_present(self._number):
            self._servers.unmade.made((upstream, server))


class ServerControl:
    """Drains servers that the configuration has."""

    def __init__(self, served: ServedEdition, servers: Servers, order: Order) -> None:
        self._served = served
        self._servers = servers
        self._order = order

    async def drain(
        self, upstream: str, server: str, seconds: float | None, *, for_fleet: bool = False
    ) -> DrainDocument:
        """See `admin.requests.contracts.ServerCommands.drain`. Raises `CommandRefused`."""
        self._require(upstream, server)
        config = self._served.edition.loaded.config
        limit = config.limits.drain_seconds if seconds is None else seconds
        if for_fleet:
            await self._order(drain_order(upstream, server), {"seconds": limit})
            return {"upstream": upstream, "server": server, "draining": True}
        others = [address for one in config.all_upstreams[upstream].servers if (address := str(one.address)) != server]
        warning = await self._servers.drain(upstream, server, limit, others)
        drained: DrainDocument = {"upstream": upstream, "server": server, "draining": True}
        return drained if warning is None else {**drained, "warning": warning}

    async def undrain(self, upstream: str, server: str, *, for_fleet: bool = False) -> DrainDocument:
        self._require(upstream, server)
        is_of_fleet = (upstream, server) in self._servers.drained_by_fleet
        if for_fleet:
            if not is_of_fleet:
                raise CommandRefused(404, f"{server} of upstream {upstream} does not drain in the fleet")
            await self._order(drain_order(upstream, server), None)
            return {"upstream": upstream, "server": server, "draining": False}
        if is_of_fleet:
            raise CommandRefused(409, f"{server} of upstream {upstream} drains in the whole fleet: add --fleet")
        await self._servers.undrain(upstream, server)
        return {"upstream": upstream, "server": server, "draining": False}

    def _require(self, upstream: str, server: str) -> None:
        known = [f"{name}/{address}" for name, address in self._served.edition.servers]
        if f"{upstream}/{server}" not in known:
            there = ", ".join(known) or "none"
            raise CommandRefused(404, f"upstream {upstream} has no server {server}; there are {there}")
