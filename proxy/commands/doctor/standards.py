"""The command `plexigate doctor standards`."""

import json
from typing import Annotated

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


def standards(
    file: FileArgument = None,
    socket: SocketOption = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--standard",
            metavar="NAME",
            help="One of fips-203, fips-204, fips-205, sp-800-57, sp-800-52, cnsa-2.0, iso-27001. Default: all.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the configuration and the running proxy meet of public standards,
    and what they do not meet.

    Each requirement has its clause, the evidence and where it is from. Shows only
    requirements that can be judged from here. This is not a certificate. Exits with 0
    when nothing is unmet, with 1 when a requirement is not met, with 2 when FILE
    cannot be read or a name is unknown.
    """
    # imported here: without it the other commands start faster
    from proxy.commands.doctor.looking import examined
    from proxy.commands.doctor.standards_table import print_standards
    from proxy.doctor.standards.gathering import gathered
    from proxy.doctor.standards.report import StandardReport
    from proxy.doctor.standards.standards import STANDARDS
    from proxy.supervisor.secrets.safe import now_in_utc

    known = {one.name: one for one in STANDARDS}
    if unknown := [one for one in names or () if one not in known]:
        raise ended(f"there is no standard {unknown[0]!r}; there are {', '.join(known)}", UNREADABLE)
    try:
        facts = gathered(examined(file, socket, now_in_utc))
    except ConfigError as error:
        raise unreadable(error) from None
    report = StandardReport.of([known[one] for one in names or known], facts)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_standards(report, table_console(FILE_COLUMNS))
    if report.is_unmet:
        raise typer.Exit(WRONG)
