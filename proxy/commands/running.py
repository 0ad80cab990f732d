"""Commands about a running proxy: `plexigate status`, `plexigate drain` and `plexigate undrain`."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from proxy.api.status import StatusDocument
from proxy.commands.terminal.answers import FILE_COLUMNS, answer
from proxy.commands.terminal.asking import (
    ConfigOption,
    FleetOption,
    JsonOption,
    SocketOption,
    asked,
    ended,
    fleet_query,
)
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.status_table import status_tables

if TYPE_CHECKING:
    from proxy.api.commands import DrainDocument


def live_view(console: Console, drawn: Callable[[], RenderableType], wait: Callable[[], None]) -> None:
    """Draw on the whole screen, now and after each `wait`, until `KeyboardInterrupt`."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(drawn(), refresh=True)
                wait()
        except KeyboardInterrupt:
            pass


# often enough to see a change, and a scrape of all workers takes a few milliseconds
_WATCH_SECONDS = 2.0

_Upstream = Annotated[str, typer.Argument(metavar="UPSTREAM", help="NAME of [upstream.NAME].")]
_Server = Annotated[str, typer.Argument(metavar="SERVER", help="One of its servers, such as http://127.0.0.1:8000")]


app = typer.Typer()


@app.command(epilog="Example: plexigate status --watch && plexigate status --json | jq .handshakes.hybrid_share")
def status(
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the whole status as JSON.")] = False,
    is_watched: Annotated[bool, typer.Option("--watch", help="Show it again every 2 seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the running proxy: readiness, workers, listeners, routes, upstreams,
    certificates, and the post-quantum share.

    Ready means that every configured worker, identity and route can serve, as in
    /readyz. The post-quantum part names the networks and user agents of the
    clients that pq = require would shut out. Counts begin at the start of the
    proxy. Exits with 0 when the proxy answers, with 1 when it does not.
    """
    if is_watched:
        console = table_console(FILE_COLUMNS)
        if as_json or not console.is_terminal:
            raise ended("--watch needs a terminal, and goes without --json", 2)
        live_view(console, lambda: _tables(_document(config, socket)), lambda: time.sleep(_WATCH_SECONDS))
        return
    document = _document(config, socket)
    answer(document, lambda: _tables(document), as_json=as_json)


def _document(config: Path | None, socket: Path | None) -> StatusDocument:
    document: StatusDocument = asked(config, socket, lambda client: client.get("/status"))
    return document


def _tables(document: StatusDocument) -> RenderableType:
    try:
        return status_tables(document)
    except (AttributeError, KeyError, TypeError):
        raise ended("the answer is not a status; does a Plexigate of this version listen there?") from None


@app.command(epilog="Example: plexigate drain chat http://10.0.0.7:8000 --seconds 600")
def drain(  # noqa: PLR0913 - the options of a command
    upstream: _Upstream,
    server: _Server,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long its WebSockets may stay open. Default: limits.drain_timeout.")
    ] = None,
    for_fleet: FleetOption = False,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a server out of service: it gets no new requests. Its WebSockets are closed after
    --seconds.

    The last server of an upstream can be drained too: clients then get 503, and a
    warning on standard error says so.
    """
    query = {**({} if seconds is None else {"seconds": f"{seconds:g}"}), **fleet_query(for_fleet)}
    drained: DrainDocument = asked(config, socket, lambda client: client.post(_path(upstream, server, "drain"), query))
    answer(drained, lambda: f"{server} of upstream {upstream} gets no new requests.", as_json=as_json)
    if "warning" in drained and not as_json:
        typer.echo(f"warning: {drained['warning']}", err=True)


@app.command(epilog="Example: plexigate undrain chat http://10.0.0.7:8000")
def undrain(
    upstream: _Upstream,
    server: _Server,
    for_fleet: FleetOption = False,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return a drained server to service."""
    query = fleet_query(for_fleet)
    back: DrainDocument = asked(config, socket, lambda client: client.post(_path(upstream, server, "undrain"), query))
    answer(back, lambda: f"{server} of upstream {upstream} gets requests again.", as_json=as_json)


def _path(upstream: str, server: str, verb: str) -> str:
    return f"/upstreams/{quote(upstream, safe='')}/{quote(server, safe='')}/{verb}"
