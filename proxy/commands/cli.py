"""The command line: the program `plexigate`, its commands `run` and `check`, and the groups of the
others.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from config.log import LogFormat
from config.problems import ConfigError
from proxy.admin.client import connect
from proxy.admin.listening import AdminSocketError
from proxy.commands import alerts, completion, maintenance, password, payload, running
from proxy.commands.audit import verify
from proxy.commands.certs import trust
from proxy.commands.certs.commands import certs_app
from proxy.commands.doctor import commands as doctor_commands
from proxy.commands.hsm import commands as hsm_commands
from proxy.commands.page.command import page_command
from proxy.commands.reload import reload_command
from proxy.commands.route import route_command
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.help_text import unwrap
from proxy.commands.terminal.problem_table import print_problems
from proxy.commands.upgrade import upgrade_command
from proxy.processes.hot_path import hot_path
from proxy.processes.systemd import InheritedSocketUnusable
from proxy.tls.libssl import InterpreterUnsuitable

app = typer.Typer(
    name="plexigate",
    help="A TLS 1.3 reverse proxy for chat servers, with post-quantum hybrid key exchange.",
    epilog="Start with: plexigate check FILE, then: plexigate run FILE. The manual page plexigate.toml(5) explains every key of FILE.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The configuration, in TOML.", show_default=False)]


def _show_version(is_asked: bool | None) -> None:  # noqa: FBT001 - the signature of a typer callback
    if is_asked:
        typer.echo(f"plexigate {version('plexigate')} (hot path {hot_path()})")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool | None,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Show the version, and whether the hot path is compiled.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options before the command."""


@app.command(epilog="Example: plexigate run /etc/plexigate/plexigate.toml --log-format pretty")
def run(
    file: _File,
    log_format: Annotated[
        LogFormat | None,
        typer.Option(help="Format of the log; replaces \\[log] format in FILE.", show_default=False),
    ] = None,
) -> None:
    """Start the proxy. SIGTERM or Ctrl-C drains and stops it; a second one stops
    it at once.

    The log has one JSON line per request and per failed handshake. It goes to
    standard output, or to the file that FILE names.
    """
    # imported here: without it the other commands start in half the time
    from proxy.commands import run as serving

    try:
        serving.run(file, log_format)
    except ConfigError as error:
        print_problems(error.problems, Console(stderr=True))
        raise typer.Exit(1) from None
    except (InterpreterUnsuitable, AdminSocketError, InheritedSocketUnusable) as error:
        typer.echo(f"plexigate: {error}", err=True)
        raise typer.Exit(1) from None


@app.command(epilog="Example: plexigate check plexigate.toml && plexigate check --json plexigate.toml")
def check(
    file: _File,
    as_json: Annotated[bool, typer.Option("--json", help="Write the problems as JSON.")] = False,  # noqa: FBT002 - as above
) -> None:
    """Check a configuration: the file, its certificates, keys, groups and
    providers. Lists the problems with file and line.

    Exits with 0 when the configuration can be used (it may have warnings), with 1
    when it cannot. plexigate route says which route of it takes a request.
    """
    from proxy.commands import check as checking  # imported here for the same reason

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
        print_problems(problems, table_console())
        if is_usable:
            typer.echo(f"{file} can be used.")
    if not is_usable:
        raise typer.Exit(1)


app.command(name="route", epilog="Example: plexigate route plexigate.toml https://chat.example.org/x --method POST")(
    route_command
)
app.command(epilog="Example: plexigate reload --dry-run && plexigate reload")(reload_command(connect))
app.command(name="page", epilog="Example: plexigate page --port 8765")(page_command)
app.command(
    name="upgrade",
    epilog="Example: plexigate upgrade && plexigate status; plexigate upgrade --program /opt/plexigate-2/bin/plexigate",
)(upgrade_command(connect))
running.register(app)
password.register(app)
app.add_typer(doctor_commands.app)
completion.register(app)
app.add_typer(verify.app)
app.add_typer(maintenance.app)
app.add_typer(payload.app)
app.add_typer(alerts.app)
app.add_typer(hsm_commands.app)
_certs = certs_app()
trust.add_to(_certs)
app.add_typer(_certs)
unwrap(app)
