"""The command `plexigate doctor`, and the group that its further commands hang on."""

import json
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from config.values.problems import ConfigError
from proxy.commands.doctor.options import FILE_COLUMNS, WRONG, JsonOption, SocketOption, unreadable
from proxy.commands.doctor.readiness import readiness
from proxy.commands.doctor.standards import standards
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.help_text import WholeSentences


class _ExaminesByDefault(WholeSentences):
    """`plexigate doctor FILE` is short for `plexigate doctor examine FILE`."""

    default_command: Final = "examine"

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # typer has a click of its own
        """Insert the command that is meant, unless one is named or help is asked for."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [self.default_command, *args]
        return list(super().parse_args(ctx, args))


app = typer.Typer(
    name="doctor",
    cls=_ExaminesByDefault,
    help="Find faults and their remedies: plexigate doctor [FILE].",
    epilog="Example: plexigate doctor /etc/plexigate/plexigate.toml --all. It is short for plexigate doctor examine FILE --all. The options --all, --json, --strict, --socket and --cbom are those of examine: plexigate doctor examine --help.",
)


app.command(epilog="Example: plexigate doctor readiness plexigate.toml --days 7")(readiness)
app.command(epilog="Example: plexigate doctor standards plexigate.toml --standard sp-800-57")(standards)


@app.callback()
def _doctor() -> None:
    """Makes it a group: typer would drop the name of a command that is alone."""


@app.command(
    name=_ExaminesByDefault.default_command,
    epilog="Example: plexigate doctor plexigate.toml --json | jq '.findings[].remedy'",
)
def examine(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="The configuration, in TOML. Default: that of the running proxy."),
    ] = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
    shows_all: Annotated[bool, typer.Option("--all", help="Show also what is ok or was skipped.")] = False,
    is_strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for a warning too.")] = False,
    bill: Annotated[
        Path | None, typer.Option("--cbom", metavar="OUT", help="Write a cryptographic bill of materials instead.")
    ] = None,
) -> None:
    """Examine the machine, the configuration, the services that it names, and the
    running proxy. Lists what is wrong, each with what to do about it.

    It changes nothing, and asks only the services that FILE names. It takes less
    than a minute. Exits with 0 when nothing is wrong (there may be warnings), with
    1 for a failure, with 2 when FILE cannot be read.
    """
    # imported here: without it the other commands start faster
    from proxy.commands.doctor.checkups import checkups
    from proxy.commands.doctor.looking import examined
    from proxy.commands.doctor.table import print_report
    from proxy.doctor import examining, report
    from proxy.doctor.credentials.token_keys import token_places
    from proxy.supervisor.secrets.safe import now_in_utc

    began = time.monotonic()
    try:
        looked_at = examined(file, socket, now_in_utc)
    except ConfigError as error:
        raise unreadable(error) from None
    if bill is not None:
        from proxy.commands.doctor.bill_file import write_bill

        write_bill(looked_at, bill, version("plexigate"))
        return
    console = Console(stderr=True)
    with console.status("plexigate doctor") as shown:  # silent unless it is a terminal

        def progress(names: Sequence[str]) -> None:
            shown.update(f"looking at {', '.join(names)}")

        left = examining.ALL_SECONDS - (time.monotonic() - began)  # a silent proxy has cost some
        results = examining.examine(checkups(), looked_at, progress, left)
    results = report.without_repetitions(results, token_places(looked_at.configured))
    if as_json:
        typer.echo(json.dumps(report.document(results, looked_at, version("plexigate"), now_in_utc()), indent=2))
    else:
        print_report(results, table_console(FILE_COLUMNS), shows_all=shows_all)
    if report.is_wrong(results, is_strict=is_strict):
        raise typer.Exit(WRONG)
