"""The routes that an operator has taken out of service: kept on disk, and told to all workers.

Those of this node and those of its whole fleet are two lists. A route may be in both, and is
answered as that of the node says.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

from config.loading.loaded import LoadedConfig
from config.values.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.observe.events.event import Tell
from proxy.observe.events.maintenance import MaintenanceBegun, MaintenanceEnded
from proxy.processes.messages.answers import Done
from proxy.processes.messages.questions import MaintainedRoute, Question, ShowMaintenance
from proxy.supervisor.maintenance_store import MaintenanceStore, MaintenanceUnreadable

# A worker that leaves answers in milliseconds, or is stuck and gets no new requests.
_LEAVING_SECONDS: Final = 2.0


class Workers(Protocol):
    """The part of a `Workforce` that this module uses."""

    async def tell_all(self, order: Question[Done]) -> None:
        """Tell every worker the same, and wait until all that are not stuck have heard."""

    async def ask_all(self, question: Question[Done], seconds: float) -> Mapping[Any, Done | None]:
        """Ask all workers, also those that leave. The answer is None if it is late or an error."""


class Maintenance:
    """All routes in maintenance. A route stays among them if a reload removes it from the
    configuration: if it comes back, it is still out of service.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, workers: Workers, tell: Tell) -> None:
        self._loop = loop
        self._workers = workers
        self._tell = tell
        self._store: MaintenanceStore
        self._fleet_store: MaintenanceStore
        self._routes: dict[str, MaintainedRoute] = {}
        self._of_fleet: dict[str, MaintainedRoute] = {}
        self._changing = asyncio.Lock()

    def restore(self, loaded: LoadedConfig) -> None:
        """Begin with what an earlier process kept.

        Raises `ConfigError` if it cannot be read: to serve a route that may be in maintenance could
        do harm.
        """
        self._store = MaintenanceStore.of(loaded)
        # beside the state of the fleet, which is opened when the workers serve already
        self._fleet_store = MaintenanceStore.of(loaded, "maintenance-of-fleet")
        try:
            self._routes = {one.route: one for one in self._store.read()}
            if loaded.config.fleet.etcd:
                self._of_fleet = {one.route: one for one in self._fleet_store.read()}
        except MaintenanceUnreadable as error:
            found = f"{error.path}, which lists the routes in maintenance, and has {error.found}"
            allowed = "the file as the proxy wrote it; delete it to serve all routes"
            raise ConfigError([loaded.file.error(("route",), found, allowed)]) from None

    @property
    def routes(self) -> tuple[MaintainedRoute, ...]:
        """All of them, the first that was taken out first."""
        return tuple({**self._of_fleet, **self._routes}.values())

    def is_of_fleet(self, route: str) -> bool:
        """Whether it is out of service in the whole fleet."""
        return route in self._of_fleet

    @property
    def shown(self) -> ShowMaintenance:
        return ShowMaintenance(self.routes)

    @property
    def path(self) -> str:
        return str(self._store.path)

    async def begin(self, route: MaintainedRoute) -> int:
        """Take a route out of service, or change how it is answered. Raises `OSError`.

        After it, the change is on disk, and no worker takes a request for the route. Returns how
        many workers have not confirmed that: they are stuck or end, and follow when they continue.
        """
        async with self._changing:
            silent = await self._change({**self._routes, route.route: route})
            self._tell(MaintenanceBegun(route.route, route.retry_after, ", ".join(route.allowed) or None))
            return silent

    async def end(self, route: str) -> int:
        """Put a route back into service, as `begin` takes it out.

        Raises `KeyError` if it is not out of it, or `OSError`.
        """
        async with self._changing:
            rest = dict(self._routes)
            del rest[route]
            silent = await self._change(rest)
            self._tell(MaintenanceEnded(route))
            return silent

    async def follow_fleet(self, routes: Mapping[str, MaintainedRoute]) -> None:
        """Have exactly these out of service for the whole fleet. Raises `OSError`."""
        async with self._changing:
            before = self._of_fleet
            if routes == before:
                return
            kept = tuple(routes.values())
            await in_thread(self._loop, lambda: self._fleet_store.write(kept))
            self._of_fleet = dict(routes)
            await self._tell_workers()
            for route, one in routes.items():
                if before.get(route) != one:
                    self._tell(MaintenanceBegun(route, one.retry_after, ", ".join(one.allowed) or None))
            for route in before:
                if route not in routes:
                    self._tell(MaintenanceEnded(route))

    async def _change(self, routes: dict[str, MaintainedRoute]) -> int:
        kept = tuple(routes.values())
        await in_thread(self._loop, lambda: self._store.write(kept))
        self._routes = routes
        return await self._tell_workers()

    async def _tell_workers(self) -> int:
        await self._workers.tell_all(self.shown)
        # those that leave still answer on the connections that they have
        answers = await self._workers.ask_all(self.shown, _LEAVING_SECONDS)
        return sum(answer is None for answer in answers.values())
