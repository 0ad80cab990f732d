"""How requests went, as tables for a terminal."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from proxy.api.status import ProtocolRow, RouteRow
from proxy.commands.terminal.tables import titled_table

_SHOWN_ROUTES: Final = 20
_SLOW_SECONDS: Final = 1.0
_LAST_BOUND: Final = 30.0


def request_tables(routes: Sequence[RouteRow], protocols: Sequence[ProtocolRow]) -> Iterator[Table]:
    """The routes with the most requests, and the versions of HTTP if there were several."""
    if routes:
        yield _routes(routes)
    used = [one for one in protocols if one["requests"]]
    if len(used) > 1:
        table = titled_table("Protocols", "protocol", ">requests", ">p50", ">p99")
        for one in used:
            table.add_row(one["protocol"], str(one["requests"]), *_latencies(one))
        yield table


def _routes(routes: Sequence[RouteRow]) -> Table:
    columns = (">requests", ">4xx", ">5xx", ">WebSockets", ">p50", ">p99")
    table = titled_table("Routes", "route", *columns)
    busiest = sorted(routes, key=lambda one: -sum(one["requests"].values()))
    for one in busiest[:_SHOWN_ROUTES]:
        requests = one["requests"]
        errors = requests.get("5xx", 0)
        table.add_row(
            Text("no route" if one["route"] == "-" else one["route"]),
            str(sum(requests.values())),
            str(requests.get("4xx", 0)),
            Text(str(errors), "red" if errors else ""),
            str(one["websockets_open"]),
            *_latencies(one),
        )
    table.caption = "p50, p99: half of the requests, or 99 of 100, took no longer"
    if len(routes) > _SHOWN_ROUTES:
        table.caption += f"; {len(routes) - _SHOWN_ROUTES} more routes, see --json"
    return table


def _latencies(one: RouteRow | ProtocolRow) -> Iterator[Text]:
    for seconds in (one["p50_seconds"], one["p99_seconds"]):
        style = "yellow" if seconds is not None and seconds > _SLOW_SECONDS else ""
        yield Text(_shown(seconds), style)


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds >= _LAST_BOUND:
        return f">= {seconds:g} s"
    return f"<= {seconds:g} s" if seconds >= 1 else f"<= {seconds * 1000:g} ms"
