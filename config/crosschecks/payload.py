"""What `[payload]` and the routes say about each other. Pure."""

from collections.abc import Iterator
from typing import Final

from config.crosschecks.checks import Checks
from config.routes.fields import FieldsConfig, plain_name
from config.schema import Config, RouteConfig
from config.tables.payload import PayloadMode
from config.values.omissions import Omissions
from config.values.problems import Problem, listed, shown

_SET: Final = ("set", "add")
_CHANGED: Final = ("set", "remove")
_WHOLE: Final = (_SET, "an encrypted response is always whole")
_DIGEST: Final = (_SET, "a digest of the plain text is not one of the encrypted response")
_ADDED_TO: Final = (_CHANGED, "the proxy adds the fields of the encryption to it")

# A route changes fields of a request that is decrypted, and of a response that is encrypted: what
# it may not do with them, and why.
_RESERVED: Final = {
    "request_headers": {
        "accept-encoding": (_SET, "the server must not compress what is encrypted afterwards"),
        "range": _WHOLE,
        "if-range": _WHOLE,
    },
    "response_headers": {
        "accept-ranges": _WHOLE,
        "access-control-allow-headers": _ADDED_TO,
        "access-control-expose-headers": _ADDED_TO,
        "cache-control": (_CHANGED, "no cache may keep an encrypted response (no-store)"),
        "content-digest": _DIGEST,
        "content-md5": _DIGEST,
        "digest": _DIGEST,
        "repr-digest": _DIGEST,
        "vary": (_CHANGED, "caches must tell encrypted responses from others"),
    },
}


def payload_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of payload encryption that spans tables."""
    checks = _Checks(config, file, omissions)
    for index, route in enumerate(config.route):
        if route.payload is PayloadMode.OFF:
            yield from checks.unused_keys(index, route)
        else:
            yield from checks.route(index, route)
            yield from checks.fields(index, route)
    yield from checks.unused_rings()


class _Checks(Checks):
    def unused_keys(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        for key in ("payload_ring", "payload_sessions", "payload_websocket", "payload_origins"):
            if getattr(route, key):
                found = f"{key} on a route without payload encryption"
                yield self.error(("route", index, key), found, 'payload = "accept" or "require" as well')

    def route(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        if route.payload_ring is None and not route.payload_sessions:
            found = f'"{route.payload}" without a key'
            yield self.error(("route", index, "payload"), found, "payload_ring, or payload_sessions = true")
        rings = self._rings()
        if route.payload_ring is not None and route.payload_ring not in rings:
            allowed = f"the name of a [payload.ring.NAME]: {listed(rings)}"
            yield self.error(("route", index, "payload_ring"), shown(route.payload_ring), allowed)
        if route.payload_sessions and self.config.payload.sessions is None and not self.omissions.touch("payload"):
            yield self.error(("route", index, "payload_sessions"), "true", "a [payload.sessions] table as well")

    def fields(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        """Changes of fields that the encryption needs as they are."""
        for table, fields in (("request_headers", route.request_headers), ("response_headers", route.response_headers)):
            for key, place, name, value in () if fields is None else _changes(fields):
                keys, reason = _RESERVED[table].get(plain_name(name), ((), ""))
                is_kept = plain_name(name) == "cache-control" and _says_no_store(value)
                if key in keys and not is_kept:
                    found = f'"{name}" on a route with payload encryption'
                    yield self.error(("route", index, table, key, place), found, f"other fields: {reason}")

    def unused_rings(self) -> Iterator[Problem]:
        used = {route.payload_ring for route in self.config.route}
        for name in self.config.payload.ring:
            if name not in used and not self.omissions.touch("route"):
                found = "a ring that no route uses"
                better = "a [[route]] with payload_ring, or remove it"
                yield self.warning(("payload", "ring", name), found, better)

    def _rings(self) -> frozenset[str]:
        """Those that were left out as faulty are there as well."""
        left_out = {
            str(place[2]) for place in self.omissions.locations if place[:2] == ("payload", "ring") and len(place) > 2
        }
        return frozenset(self.config.payload.ring) | left_out


def _changes(fields: FieldsConfig) -> Iterator[tuple[str, str | int, str, str]]:
    """Key, place in it, name and value of each change."""
    yield from (("set", name, name, value) for name, value in fields.set.items())
    yield from (("add", name, name, value) for name, value in fields.add.items())
    yield from (("remove", number, name, "") for number, name in enumerate(fields.remove))


def _says_no_store(value: str) -> bool:
    return "no-store" in [one.strip().lower() for one in value.split(",")]
