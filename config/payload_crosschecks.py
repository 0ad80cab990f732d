"""What `[payload]` and the routes say about each other. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from config.omissions import Omissions
from config.payload import PayloadMode
from config.problems import Problem, Severity, shown
from config.schema import Config, RouteConfig


def payload_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of payload encryption that spans tables."""
    checks = _Checks(config, file, omissions)
    for index, route in enumerate(config.route):
        if route.payload is PayloadMode.OFF:
            yield from checks.unused_keys(index, route)
        else:
            yield from checks.route(index, route)
    yield from checks.unused_rings()


@dataclass(frozen=True, slots=True)
class _Checks:
    config: Config
    file: str
    omissions: Omissions

    def unused_keys(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        for key in ("payload_ring", "payload_sessions", "payload_websocket", "payload_origins"):
            if getattr(route, key):
                found = f"{key} on a route without payload encryption"
                yield self._error(("route", index, key), found, 'payload = "accept" or "require" beside it')

    def route(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        if route.payload_ring is None and not route.payload_sessions:
            found = f'"{route.payload}" without a key'
            yield self._error(("route", index, "payload"), found, "payload_ring, or payload_sessions = true")
        rings = self._rings()
        if route.payload_ring is not None and route.payload_ring not in rings:
            listed = ", ".join(f'"{name}"' for name in sorted(rings)) or "there is none"
            allowed = f"the name of a [payload.ring.NAME]: {listed}"
            yield self._error(("route", index, "payload_ring"), shown(route.payload_ring), allowed)
        if route.payload_sessions and self.config.payload.sessions is None and not self.omissions.touch("payload"):
            yield self._error(("route", index, "payload_sessions"), "true", "a [payload.sessions] table beside it")

    def unused_rings(self) -> Iterator[Problem]:
        used = {route.payload_ring for route in self.config.route}
        for name in self.config.payload.ring:
            if name not in used and not self.omissions.touch("route"):
                found, better = "a ring that no route uses", "a [[route]] with payload_ring, or remove it"
                key = self.omissions.key("payload", "ring", name)
                yield Problem(self.file, key, found, better, Severity.WARNING)

    def _rings(self) -> frozenset[str]:
        """Those that were left out as faulty are there as well."""
        left_out = {
            str(place[2]) for place in self.omissions.locations if place[:2] == ("payload", "ring") and len(place) > 2
        }
        return frozenset(self.config.payload.ring) | left_out

    def _error(self, location: tuple[str | int, ...], found: str, allowed: str) -> Problem:
        return Problem(self.file, self.omissions.key(*location), found, allowed)
