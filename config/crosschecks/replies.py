"""What routes that the proxy answers itself say about each other and about other tables. Pure."""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from config.crosschecks.checks import Checks
from config.schema import Config, RouteConfig
from config.tables.payload import PayloadMode
from config.values.omissions import Omissions
from config.values.problems import Problem, shown

# They are about what goes to a server.
_FOR_SERVERS: Final = ("stream_requests", "payload", "request_headers")
_PLACEHOLDER: Final = re.compile(r"\{(path|query|host)\}")


def reply_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of `respond` and `redirect` that is not seen in their own table."""
    checks = _ReplyChecks(config, file, omissions)
    for index, route in enumerate(config.route):
        if route.upstream is None:
            yield from checks.unused_keys(index, route)
        if route.redirect is not None and not route.conditions:
            yield from checks.loop(index)


class _ReplyChecks(Checks):
    def unused_keys(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        for key in _FOR_SERVERS:
            if getattr(route, key) not in (False, None, PayloadMode.OFF):
                found = f"{key} on a route without a server"
                yield self.error(("route", index, key), found, f"no {key}: the proxy itself answers here")

    def loop(self, start: int) -> Iterator[Problem]:
        """Follow a request to the route itself, for as long as redirects of this proxy answer."""
        index = start
        path = self.config.route[start].path
        host = self.config.route[start].host.replace("*", "any")
        for _ in self.config.route:
            redirect = self.config.route[index].redirect
            found = None if redirect is None else self._answering(redirect.to, host, path)
            if found is None:
                return
            index, host, path = found
            if index == start:
                to = self.config.route[start].redirect
                assert to is not None  # the caller looked
                allowed = "a URL that another route or another server answers: a browser would go round in circles"
                yield self.error(("route", start, "redirect", "to"), shown(to.to), allowed)
                return

    def _answering(self, to: str, host: str, path: str) -> tuple[int, str, str] | None:
        """The route to which a redirect leads a request, with the host and path; None for none."""
        values = {"host": host, "path": path, "query": ""}
        url = urlsplit(_PLACEHOLDER.sub(lambda match: values[match[1]], to))
        if url.netloc and (url.scheme != "https" or url.port not in self._ports()):
            return None
        host, path = url.hostname or host, url.path or "/"
        found = self._route(host, path)
        return None if found is None else (found, host, path)

    def _ports(self) -> set[int | None]:
        return {None, 443, *(bind.port for one in self.config.listener.values() for bind in one.bind)}

    def _route(self, host: str, path: str) -> int | None:
        """The route of a plain path, as `http.routing` finds it: the most specific host decides.

        None if there is none, and if it depends on more than host and path.
        """
        hosts = {route.host for route in self.config.route if _covers(route.host, host)}
        nearest = host if host in hosts else max(hosts, key=len, default=None)
        found = [
            (len(route.path), index)
            for index, route in enumerate(self.config.route)
            if route.host == nearest and (path == route.path or path.startswith(route.path.rstrip("/") + "/"))
        ]
        index = max(found)[1] if found else None
        return None if index is None or self.config.route[index].conditions else index


def _covers(pattern: str, host: str) -> bool:
    return pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))
