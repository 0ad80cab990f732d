"""The report of `plexigate doctor readiness` for an operator."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from proxy.commands.terminal.tables import titled_table
from proxy.doctor.readiness.forecast import Forecast, Outlook
from proxy.doctor.readiness.judgement import SETTINGS, Blocking, ListenerReadiness, ReadinessReport
from proxy.doctor.readiness.tally import Tally, share
from proxy.figures.totals import how_many

_SHOWN_CLIENTS: Final = 10
_BELOW: Final = (0, 0, 0, 10)
_SHOWN_IDENTITIES: Final = 20
_STYLES: Final = {
    Outlook.NOW: "bold green",
    Outlook.LATER: "yellow",
    Outlook.DECIDE: "yellow",
    Outlook.BLOCKED: "bold red",
    Outlook.UNKNOWN: "bold magenta",
}


def print_readiness(report: ReadinessReport, console: Console) -> None:
    for one in _shown(report):
        console.print(one)


def _shown(report: ReadinessReport) -> Iterator[RenderableType]:
    days = how_many(report.observed, "day")
    yield Text(f"{report.first} to {report.last} (UTC), handshakes seen on {days}, from {report.source}")
    if not report.listeners:
        yield Text("\nNo handshake was seen on any listener.", "bold magenta")
    for one in report.listeners:
        yield from _listener(one)


def _listener(one: ListenerReadiness) -> Iterator[RenderableType]:
    yield Text.assemble("\n", ("listener ", "dim"), (one.name, "bold"), f'  {one.phase}  (pq = "{one.offer.pq}")')
    yield Text(f"  groups  {one.offer.groups or 'none'}", "dim")
    if one.next is None or one.forecast is None:
        yield Text(
            f"  Done: classical key exchange is refused, {how_many(one.handshakes.refused, 'handshake')} so far.",
            "green",
        )
    else:
        yield from _step(SETTINGS[one.next], one.forecast)
    if one.identities:
        yield _handshakes(one)
    yield from _blocking(one.blocking)


def _step(setting: str, forecast: Forecast) -> Iterator[RenderableType]:
    when = str(forecast.verdict) if forecast.on is None else f"about {forecast.on}"
    yield Text.assemble("  next    ", setting, ": ", (when, _STYLES[forecast.verdict]))
    yield Padding(Text(forecast.reason), _BELOW, expand=False)
    for doubt in forecast.doubts:
        yield Padding(Text(f"doubtful: {doubt}", "yellow"), _BELOW, expand=False)


def _handshakes(one: ListenerReadiness) -> Table:
    table = titled_table(
        "Handshakes", "identity", ">finished", ">hybrid", ">retried", ">client cannot", ">client could", ">refused"
    )
    busiest = sorted(one.identities.items(), key=lambda item: -item[1].established)
    for name, tally in busiest[:_SHOWN_IDENTITIES]:
        table.add_row(Text(name), *_cells(tally))
    if len(busiest) > 1:
        table.add_row(Text("all", "bold"), *_cells(one.handshakes))
    if len(busiest) > _SHOWN_IDENTITIES:
        table.caption = f"and {len(busiest) - _SHOWN_IDENTITIES} more, see --json"
    return table


def _cells(tally: Tally) -> list[str]:
    parts = (tally.hybrid + tally.retried, tally.retried, tally.unable, tally.able)
    shares = [f"{part} ({share(part, tally.established) or 0.0:.1%})" if part else "0" for part in parts]
    return [str(tally.established), *shares, str(tally.refused)]


def _blocking(blocking: Blocking) -> Iterator[RenderableType]:
    if not blocking["connections"]:
        return
    by_kind = {"user agent": blocking["agents"], "network": blocking["networks"], "name": blocking["names"]}
    for title, clients in by_kind.items():
        table = titled_table(f"Refused by require, by {title}", title, ">connections", ">share", ">of these uncertain")
        for one in clients[:_SHOWN_CLIENTS]:
            table.add_row(Text(one["key"]), str(one["connections"]), f"{one['share']:.1%}", str(one["error"] or ""))
        if len(clients) > _SHOWN_CLIENTS:
            table.caption = f"and {len(clients) - _SHOWN_CLIENTS} more, see --json"
        yield table
    if blocking["error_at_most"]:
        limit = f"{blocking['error_at_most']} of {blocking['connections']} connections"
        yield Text(f"All with more than {limit} are listed.", "dim")
