"""What routes say about each other and about other tables. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import collapse_addresses, ip_network
from typing import Final

from config.crosschecks.checks import Checks
from config.routes.conditions import ANY_VALUE, with_head
from config.schema import Config, RouteConfig
from config.tables.listener import PqPolicy
from config.values.addresses import IPNetwork, name_matches
from config.values.omissions import Omissions
from config.values.problems import Problem, listed, shown

_EVERYBODY: Final = (ip_network("0.0.0.0/0"), ip_network("::/0"))
_ONCE = (
    "each pair of host and path once, or with conditions (methods, headers, query) of which one route has more,"
    " or that exclude each other"
)


def route_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """Every problem of a route that is not seen in its own table."""
    checks = _RouteChecks(config, file, omissions)
    for index, route in enumerate(config.route):
        yield from checks.upstream(index, route)
        yield from checks.host(index, route)
        yield from checks.pq(index, route)
        yield from checks.networks(index, route)
    yield from checks.duplicates()


class _RouteChecks(Checks):
    def upstream(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        upstreams = self.names("upstream")
        allowed = f"the name of an upstream: {listed(upstreams)}"
        if route.upstream is not None and route.upstream not in upstreams:
            yield self.error(("route", index, "upstream"), shown(route.upstream), allowed)
        if route.auth is not None and route.auth.upstream not in upstreams:
            yield self.error(("route", index, "auth", "upstream"), shown(route.auth.upstream), allowed)

    def host(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        if self.omissions.touch("identity") or not self.config.identity:
            return  # the name may be in the part that could not be read, or is told to be missing
        names = [name for identity in self.config.identity.values() for name in identity.names]
        if route.host.startswith("*."):  # in a route, the wildcard stands for one label or more
            is_covered = any(name.endswith(route.host[1:]) for name in names)
        else:
            is_covered = any(name_matches(name, route.host) for name in names)
        if not is_covered:
            allowed = f"a host among the names of the identities, because clients can only reach these: {listed(names)}"
            yield self.error(("route", index, "host"), f'"{route.host}"', allowed)

    def pq(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        listeners = self.config.listener.values()
        never_pq = bool(listeners) and all(listener.pq is PqPolicy.OFF for listener in listeners)
        if route.pq and never_pq and not self.omissions.touch("listener"):
            allowed = 'no pq here, or a listener whose pq is not "off": now this route refuses every request'
            yield self.error(("route", index, "pq"), f'"{route.pq}"', allowed)

    def networks(self, index: int, route: RouteConfig) -> Iterator[Problem]:
        """Clients that `allow` lets through and `deny` refuses: `deny` wins."""
        if self.omissions.touch_any(("route", index), ("allow", "deny")):
            return
        refused = [(at, one) for at, one in enumerate(route.allow or _EVERYBODY) if _is_within(one, route.deny)]
        if len(refused) == len(route.allow or _EVERYBODY):
            found = "networks with every client" if not route.allow else "all networks of allow"
            better = "other networks, or no such route: now each request gets 403"
            yield self.warning(("route", index, "deny"), found, better)
            return
        for at, network in refused:
            if route.allow:
                better = "no such entry, or other networks in deny, which has this one and wins"
                yield self.warning(("route", index, "allow", at), f'"{network}"', better)
            else:
                found = f'"{network}", every address of IPv{network.version}'
                better = f"smaller networks: now each request by IPv{network.version} gets 403"
                yield self.warning(("route", index, "deny"), found, better)

    def duplicates(self) -> Iterator[Problem]:
        """Two routes that take the same request: the order in the file decides nothing."""
        places: dict[tuple[str, str], list[tuple[str, RouteConfig]]] = {}
        for index, route in enumerate(self.config.route):
            if self.omissions.touch_any(("route", index), ("host", "path", "methods", "headers", "query")):
                continue  # what it takes is not known
            key = self.omissions.key("route", index)
            others = places.setdefault((route.host, route.path), [])
            rivals = (name for name, other in others if _are_equal(route, other))
            if (first := next(rivals, None)) is not None:
                found = (
                    f'host "{route.host}" and path "{route.path}"{_and_conditions(route)}, which {first} already uses'
                )
                yield Problem(self.file, key, found, _ONCE)
            others.append((key, route))


def _is_within(network: IPNetwork, others: Iterable[IPNetwork]) -> bool:
    """Whether others together have each address of a network."""
    of_its_kind = [one for one in others if one.version == network.version]
    merged = collapse_addresses(of_its_kind)  # type: ignore[type-var]
    return any(one.supernet_of(network) for one in merged)  # type: ignore[arg-type]


def _and_conditions(route: RouteConfig) -> str:
    return f" with {route.specificity[0]} conditions" if route.conditions else ""


def _are_equal(one: RouteConfig, other: RouteConfig) -> bool:
    return one.specificity == other.specificity and _may_both_match(one, other)


def _may_both_match(one: RouteConfig, other: RouteConfig) -> bool:
    """Whether a request could meet the conditions of both routes, which have one host and path."""
    methods = with_head(one.methods or ())
    others = with_head(other.methods or ())
    if methods and others and not methods & others:
        return False
    return not (_exclude(one.headers or {}, other.headers or {}) or _exclude(one.query or {}, other.query or {}))


def _exclude(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return any(
        name in other and value != other[name] and ANY_VALUE not in (value, other[name]) for name, value in one.items()
    )


_DEMANDS = ("allow", "deny", "auth", "basic_auth", "client_certificate", "pq")


def reach_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """A warning for each route to the paths of a stricter one; a rewritten path is not judged."""
    for index, route in enumerate(config.route):
        for other in config.route:
            url = _way_past(route, other)
            missing = [key for key in _DEMANDS if getattr(other, key) and getattr(route, key) != getattr(other, key)]
            if url is None or not missing or _is_taken(config, route, url):
                continue
            keys = ", ".join(missing)
            found = f"a way past {keys} of {shown(other.entry_name)}: the server gets its paths from {shown(url)}"
            better = f"{keys} here as well, or a route for {shown(url)} that refuses"
            yield Checks(config, file, omissions).warning(("route", index), found, better)


def _way_past(route: RouteConfig, other: RouteConfig) -> str | None:
    """The path at the route that leads to where the other route leads; None if there is none."""
    changed = any((one.strip_prefix or one.add_prefix) for one in (route, other))
    if not changed or route.rewrite or other.rewrite or route.upstream is None:
        return None
    if (route.host, route.upstream) != (other.host, other.upstream) or route.path == other.path:
        return None
    here = _at_server(route)
    there = _at_server(other)
    if not f"{there}/".startswith(f"{here}/"):
        return None
    return route.path.rstrip("/") + there[len(here) :] or "/"


def _at_server(route: RouteConfig) -> str:
    """Where the paths of a route begin at the server; empty for all of its paths."""
    return (route.add_prefix or "") + route.path.rstrip("/")[len(route.strip_prefix or "") :]


def _is_taken(config: Config, route: RouteConfig, path: str) -> bool:
    """Whether a route with a longer path takes the request."""
    return any(
        one.host == route.host and len(one.path) > len(route.path) and f"{path}/".startswith(f"{one.path.rstrip('/')}/")
        for one in config.route
    )
