"""What routes to the admin page need, so that only those whom the operator trusts read it. Pure."""

from collections.abc import Iterator
from typing import Final

from config.crosschecks.checks import Checks
from config.schema import Config, RouteConfig
from config.tables.payload import PayloadMode
from config.values.omissions import Omissions
from config.values.problems import Problem, shown

# The page proves who reads it by tokens and certificates, answers no other method than GET, and
# its own fields keep browsers from framing it.
_NOT_HERE: Final = (
    "methods", "headers", "query", "auth", "basic_auth", "stream_requests", "payload", "body_bytes",
    "strip_prefix", "add_prefix", "rewrite", "request_headers", "response_headers",
)  # fmt: skip


def page_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of `admin_page` and of `admin.page_socket`."""
    checks = _PageChecks(config, file, omissions)
    for index, route in enumerate(config.route):
        if route.admin_page is not None:
            yield from checks.place(index, route)
            yield from checks.demand(index, route)
            yield from checks.unused_keys(index, route)
    yield from checks.socket()


class _PageChecks(Checks):
    def place(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        """A script of another application of this host could read the page (RFC 6454 section 3)."""
        if route.host.startswith("*."):
            yield self.error(("route", index, "host"), shown(route.host), "one name for the admin page, no wildcard")
        if route.path != "/":
            yield self.error(("route", index, "path"), shown(route.path), 'path "/": the page has its host to itself')
        other = next((one for one in self.config.route if one is not route and one.host == route.host), None)
        if other is not None:
            found = f"{shown(route.host)}, which also has the route {shown(other.entry_name)}"
            yield self.error(("route", index, "host"), found, "a host of its own for the admin page")

    def demand(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        assert route.admin_page is not None  # the caller has looked
        if self.omissions.touch_any(("route", index), ("admin_page", "client_certificate")):
            return
        if route.admin_page.tokens is None and route.client_certificate is None:
            allowed = 'a file of tokens, admin_page = { tokens = "page.tokens" }, or client_certificate = "require"'
            yield self.error(("route", index, "admin_page"), "a page that every client may read", allowed)

    def unused_keys(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        for key in _NOT_HERE:
            if getattr(route, key) not in (False, None, PayloadMode.OFF):
                yield self.error(("route", index, key), f"{key} together with admin_page", f"no {key}")

    def socket(self) -> Iterator[Problem]:
        """The two keys need each other."""
        socket = self.config.admin.page_socket
        place = ("admin", "page_socket")
        first = next((index for index, one in enumerate(self.config.route) if one.admin_page is not None), None)
        if socket is None:
            if first is not None and not self.omissions.touch("admin"):
                allowed = (
                    f"a path for {self.omissions.key('route', first, 'admin_page')}, such as /run/plexigate/page.sock"
                )
                yield self.error(place, "nothing", allowed)
            return
        if socket == self.config.admin.socket:
            yield self.error(place, f"{shown(socket)}, which admin.socket already uses", "a path of its own")
        if first is None and not self.omissions.touch("route"):
            better = "a [[route]] with admin_page, or no such key"
            found = f"{shown(socket)}, which no route uses"
            yield self.warning(place, found, better)
