"""The commands that need no running proxy: `plexigate run` and `plexigate check`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from config.tables.operations.log import LogFormat
from config.values.problems import ConfigError
from proxy.commands.terminal.interruption import quiet_interruption

app = typer.Typer()

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, in TOML.")]


@app.command(epilog="Example: plexigate run /etc/plexigate/plexigate.toml --log-format pretty")
def run(
    file: _File,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Format of the log; replaces [log] format in FILE.")
    ] = None,
) -> None:
    """Start the proxy. SIGTERM or Ctrl-C drains and stops it; a second one stops
    it at once.

    The log has one JSON line per request and per failed handshake. It goes to
    standard output, or to the file that FILE names.
    """
    with quiet_interruption():  # imported here: --help needs the options alone
        from proxy.admin.listening import AdminSocketError
        from proxy.commands import run as serving
        from proxy.processes.systemd import InheritedSocketUnusable
        from proxy.tls.openssl.libssl import InterpreterUnsuitable

    try:
        serving.run(file, log_format)
    except ConfigError as error:
        from proxy.commands.terminal.console import error_console
        from proxy.commands.terminal.problem_table import print_problems

        print_problems(error.problems, error_console())
        raise typer.Exit(1) from None
    except (InterpreterUnsuitable, AdminSocketError, InheritedSocketUnusable) as error:
        typer.echo(f"plexigate: {error}", err=True)
        raise typer.Exit(1) from None


@app.command(epilog="Example: plexigate check plexigate.toml && plexigate check --json plexigate.toml")
def check(
    file: _File,
    as_json: Annotated[bool, typer.Option("--json", help="Write the problems as JSON.")] = False,
) -> None:
    """Check a configuration: the file, its certificates, keys, groups and
    providers. Lists the problems with file and line.

    Exits with 0 when the configuration can be used (it may have warnings), with 1
    when it cannot. plexigate route says which route of it takes a request.
    """
    with quiet_interruption():  # imported here for the same reason
        from proxy.commands import check as checking
        from proxy.tls.openssl.libssl import InterpreterUnsuitable

    try:
        problems = checking.check(file)
    except InterpreterUnsuitable as error:
        typer.echo(f"plexigate: {error}", err=True)
        raise typer.Exit(1) from None
    is_usable = not any(problem.is_error for problem in problems)
    if as_json:
        typer.echo(
            json.dumps({"file": str(file), "ok": is_usable, "problems": [one.as_json() for one in problems]}, indent=2)
        )
    else:
        if problems:
            from proxy.commands.terminal.console import table_console
            from proxy.commands.terminal.problem_table import print_problems

            print_problems(problems, table_console())
        if is_usable:
            typer.echo(f"{file} can be used.")
    if not is_usable:
        raise typer.Exit(1)
