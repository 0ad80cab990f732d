"""`plexigate alerts`: lists the open alerts of the running proxy, and sends a test alert."""

import json

import typer
from rich.table import Table
from rich.text import Text

from proxy.api.commands import AlertsDocument, AlertTestDocument
from proxy.commands.terminal.asking import ConfigOption, JsonOption, SocketOption, asked, ended
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.status_table import URGENCY_STYLES
from proxy.commands.terminal.tables import plain_table

# wide enough for sentences when the output is not a terminal
_FILE_COLUMNS = 200

app = typer.Typer(
    name="alerts",
    cls=WholeSentences,
    help="List the open alerts: faults that require operator action.",
    epilog="Example: plexigate alerts && plexigate alerts test",
)


@app.callback(invoke_without_command=True)
def alerts(
    context: typer.Context,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the open alerts: what is wrong, since when, and what to do.

    Exits with 0 when the proxy answers, also if alerts are open, with 1 when it
    does not.
    """
    if context.invoked_subcommand is not None:
        return
    document: AlertsDocument = asked(config, socket, lambda client: client.get("/alerts"))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    if document["alerts"]:
        table_console(_FILE_COLUMNS).print(alert_table(document))
    else:
        typer.echo("No alert is open.")
    for one in document.get("waiting", ()):
        typer.echo(f"Pending since {one['since']}, an alert in {one['alert_in_seconds']:.0f} s: {one['text']}")


def alert_table(document: AlertsDocument) -> Table:
    table = plain_table("urgency", "kind", "since", "what is wrong, and what to do")
    for one in document["alerts"]:
        table.add_row(
            Text(one["urgency"], URGENCY_STYLES.get(one["urgency"], "")),
            Text(one["kind"]),
            Text(f"{one['since']}, over now" if one.get("over") else one["since"]),
            Text.assemble(f"{one['text']}\n", (one["remedy"], "dim")),
        )
    return table


@app.command("test", epilog="Example: plexigate alerts test && echo arrived")
def send_test(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Send a test alert to each receiver of [alerts], by the running proxy.

    Exits with 0 if each one took it, with 1 if one did not, or if there is none.
    """
    answer: AlertTestDocument = asked(config, socket, lambda client: client.post("/alerts/test", {}))
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
    else:
        for one in answer["receivers"]:
            outcome = "accepted the test alert" if one["ok"] else f"did not accept the test alert: {one['detail']}"
            typer.echo(f"{one['receiver']} {one['to']} {outcome}")
    if not answer["receivers"]:
        raise ended("there is no receiver: set command or webhook in [alerts], and reload")
    if not answer["ok"]:
        raise typer.Exit(1)
