"""`plexigate maintenance`: takes routes of the running proxy out of service."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from proxy.api.commands import MaintainedRow, MaintenanceDocument, MaintenanceEnd
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import (
    ConfigOption,
    FleetOption,
    JsonOption,
    SocketOption,
    asked,
    ended,
    fleet_query,
)
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.tables import plain_table

app = typer.Typer(
    name="maintenance",
    cls=WholeSentences,
    help="Take routes out of service, and list them.",
    epilog="Example: plexigate maintenance",
    invoke_without_command=True,
    no_args_is_help=False,
)

_Route = Annotated[
    str, typer.Argument(metavar="ROUTE", help="Host and path of the route, such as chat.example.org/api")
]


@app.callback()
def list_routes(
    context: typer.Context,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the routes that are out of service, take one out, or put it back."""
    if context.invoked_subcommand is not None:
        return
    document: MaintenanceDocument = asked(config, socket, lambda client: client.get("/maintenance"))
    nothing = "No route is under maintenance."
    answer(document, lambda: route_table(document) if document["routes"] else nothing, as_json=as_json)


def route_table(document: MaintenanceDocument) -> Table:
    table = plain_table("route", "since", "retry after", "page", "served anyway", "", "")
    for one in document["routes"]:
        table.add_row(
            Text(one["route"]),
            f"{datetime.fromtimestamp(one['since'], UTC):%Y-%m-%d %H:%M:%SZ}",
            f"{one['retry_after']} s",
            "its own" if one["page"] else "usual",
            ", ".join(one["allowed"]) or "-",
            "whole fleet" if one["is_of_fleet"] else "",
            "" if one["is_configured"] else Text("not in the configuration", style="yellow"),
        )
    return table


@app.command(
    epilog="Example: plexigate maintenance on chat.example.org/ --page down.html --retry-after 600 --allow 10.0.0.0/8"
)
def on(  # noqa: PLR0913 - the options of a command
    route: _Route,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Answer with this .html or .json file; it is read now. Default: the error page of the route for 503.",
        ),
    ] = None,
    retry_after: Annotated[
        int | None,
        typer.Option(metavar="SECONDS", min=1, help="When clients may come again (Retry-After). Default: 300."),
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(metavar="NETWORK", help="Serve clients with these addresses anyway; repeatable.")
    ] = None,
    for_fleet: FleetOption = False,
    config: ConfigOption = None,
    socket: SocketOption = None,
) -> None:
    """Take a route out of service: all workers answer its requests with 503 when
    the command returns.

    Requests in flight finish. WebSockets get a close frame (1012), spread over
    limits.drain_timeout. It stays so over reloads and restarts until
    `plexigate maintenance off`. A second `on` replaces page, time and networks.
    """
    query = {"route": route, "allow": ",".join(allow or []), "page": "html", **fleet_query(for_fleet)}
    if retry_after is not None:
        query["retry_after"] = str(retry_after)
    content = b""
    if page is not None:
        content, query["page"] = _read(page)
    begun: MaintainedRow = asked(config, socket, lambda client: client.post("/maintenance/on", query, body=content))
    _warn(begun)
    again = f"may come again after {begun['retry_after']} s"
    typer.echo(f"Route {route} is under maintenance: clients get 503 and {again}.")


@app.command(epilog="Example: plexigate maintenance off chat.example.org/")
def off(
    route: _Route, for_fleet: FleetOption = False, config: ConfigOption = None, socket: SocketOption = None
) -> None:
    """Put a route back into service."""
    query = {"route": route, **fleet_query(for_fleet)}
    _warn(asked(config, socket, lambda client: client.post("/maintenance/off", query)))
    typer.echo(f"Route {route} is back in service.")


def _warn(answer: MaintainedRow | MaintenanceEnd) -> None:
    if "warning" in answer:
        typer.echo(f"warning: {answer['warning']}", err=True)


def _read(page: Path) -> tuple[bytes, str]:
    # imported here: the other commands about maintenance need no configuration
    from config.routes.error_pages import HTML_ENDINGS, JSON_ENDINGS
    from proxy.admin.requests.wishes import PAGE_BYTES

    if not page.name.endswith(HTML_ENDINGS + JSON_ENDINGS):
        raise ended(f'"{page}": a page is an .html or a .json file')
    try:
        with page.open("rb") as file:
            content = file.read(PAGE_BYTES)
    except OSError as error:
        raise ended(f'"{page}": {error.strerror}') from None
    if not content:
        raise ended(f'"{page}": the page is empty')
    return content, "json" if page.name.endswith(JSON_ENDINGS) else "html"
