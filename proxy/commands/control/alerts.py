"""`plexigate alerts`: lists the open alerts of the running proxy, and sends a test alert."""

import typer
from rich.table import Table
from rich.text import Text

from proxy.api.commands import AlertsDocument, AlertTestDocument
from proxy.commands.terminal.answers import answer, write_json
from proxy.commands.terminal.asking import ConfigOption, JsonOption, SocketOption, asked, ended
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.status_table import URGENCY_STYLES
from proxy.commands.terminal.tables import plain_table

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
    answer(document, lambda: alert_table(document) if document["alerts"] else "No alert is open.", as_json=as_json)
    for one in () if as_json else document.get("waiting", ()):
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
    tested: AlertTestDocument = asked(config, socket, lambda client: client.post("/alerts/test", {}))
    if as_json:
        write_json(tested)
    for one in [] if as_json else tested["receivers"]:
        outcome = "accepted the test alert" if one["ok"] else f"did not accept the test alert: {one['detail']}"
        typer.echo(f"{one['receiver']} {one['to']} {outcome}")
    if not tested["receivers"]:
        raise ended("there is no receiver: set command or webhook in [alerts], and reload")
    if not tested["ok"]:
        raise typer.Exit(1)
