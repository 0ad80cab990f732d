"""The command `plexigate doctor standards`."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from config.problems import ConfigError
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.problem_table import print_problems

_UNMET: Final = 1
_UNREADABLE: Final = 2
_FILE_COLUMNS: Final = 120


def standards(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The configuration, in TOML.", show_default=False)
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Path of the admin socket. Default: as in FILE.", show_default=False),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--standard",
            metavar="NAME",
            show_default=False,
            help="One of fips-203, fips-204, fips-205, sp-800-57, sp-800-52, cnsa-2.0, iso-27001. Default: all.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,  # noqa: FBT002 - the signature of a typer command
) -> None:
    """Show what the configuration and the running proxy meet of public standards,
    what they do not meet, and what cannot be known from here.

    Each requirement has its clause, the evidence and where it is from. This is no
    certificate. Exits with 0 when nothing is unmet (some may be unknown), with 1
    when a requirement is not met, with 2 when FILE cannot be read or a name is
    unknown.
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
        typer.echo(f"plexigate: there is no standard {unknown[0]!r}; there are {', '.join(known)}", err=True)
        raise typer.Exit(_UNREADABLE)
    try:
        facts = gathered(examined(file, socket, now_in_utc))
    except ConfigError as error:
        print_problems(error.problems, Console(stderr=True))
        raise typer.Exit(_UNREADABLE) from None
    report = StandardReport.of([known[one] for one in names or known], facts)
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        print_standards(report, table_console(_FILE_COLUMNS))
    if report.is_unmet:
        raise typer.Exit(_UNMET)
