"""Ways past the demands of a route: another route whose changed paths lead to the same. Pure."""

from collections.abc import Iterator

from config.crosschecks.checks import Checks
from config.schema import Config, RouteConfig
from config.values.omissions import Omissions
from config.values.problems import Problem, shown

_DEMANDS = ("allow", "deny", "auth", "basic_auth", "client_certificate", "pq")


def reach_problems(config: Config, file: str, omissions: Omissions) -> Iterator[Problem]:
    """A warning for each route that leads to the paths of a stricter one on the same servers.

    Without changed paths the stricter route takes the request. A rewritten path is not judged.
    """
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
