"""The command `plexigate doctor readiness`."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from config.problems import ConfigError
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.problem_table import print_problems

_BLOCKED: Final = 1
_UNREADABLE: Final = 2
_FILE_COLUMNS: Final = 120
_MOST_DAYS: Final = 30


def readiness(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The configuration, in TOML.", show_default=False)
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Path of the admin socket. Default: as in FILE.", show_default=False),
    ] = None,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST_DAYS, help="Show the last N days, today included.")
    ] = _MOST_DAYS,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,  # noqa: FBT002 - the signature of a typer command
) -> None:
    """Show what pq = "require" would break, by name, network and user agent,
    and when each listener can take the next step to post-quantum only.

    The running proxy tells the handshakes of the last 30 days. If none answers,
    they are read from the file that the proxy of FILE keeps. Exits with 0 when
    every listener can take its next step now, with 1 when clients are in the way
    or too little was seen, with 2 when there are no figures to read.
    """
    # imported here: without it the other commands start faster
    from proxy.commands.doctor.looking import configuration
    from proxy.commands.doctor.readiness_table import print_readiness
    from proxy.doctor.readiness.judgement import readiness_report
    from proxy.doctor.readiness.sources import NoFigures, figures
    from proxy.supervisor.secrets.safe import now_in_utc

    try:
        configured = None if file is None else configuration(file)
        adoption, source = figures(file, socket, configured)
    except ConfigError as error:
        print_problems(error.problems, Console(stderr=True))
        raise typer.Exit(_UNREADABLE) from None
    except NoFigures as error:
        typer.echo(f"plexigate: {error}", err=True)
        raise typer.Exit(_UNREADABLE) from None
    report = readiness_report(adoption, now_in_utc().date(), days, source)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_readiness(report, table_console(_FILE_COLUMNS))
    if not report.is_ready:
        raise typer.Exit(_BLOCKED)
