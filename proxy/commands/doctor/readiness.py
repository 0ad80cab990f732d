"""The command `plexigate doctor readiness`."""

import json
from typing import Annotated, Final

import typer

from config.values.problems import ConfigError
from proxy.commands.doctor.options import (
    FILE_COLUMNS,
    UNREADABLE,
    WRONG,
    FileArgument,
    JsonOption,
    SocketOption,
    unreadable,
)
from proxy.commands.terminal.asking import ended
from proxy.commands.terminal.console import table_console

_MOST_DAYS: Final = 30


def readiness(
    file: FileArgument = None,
    socket: SocketOption = None,
    days: Annotated[
        int, typer.Option(metavar="N", min=1, max=_MOST_DAYS, help="Show the last N days, today included.")
    ] = _MOST_DAYS,
    as_json: JsonOption = False,
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
        raise unreadable(error) from None
    except NoFigures as error:
        raise ended(str(error), UNREADABLE) from None
    report = readiness_report(adoption, now_in_utc().date(), days, source)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_readiness(report, table_console(FILE_COLUMNS))
    if not report.is_ready:
        raise typer.Exit(WRONG)
