"""`plexigate upgrade`: has the running proxy replaced by a new version, and shows each step."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from config.values.problems import ConfigError, Problem, ProblemRow
from proxy.admin.client import AdminRefused, AdminUnreachable, connect
from proxy.api.commands import UpgradeLine
from proxy.commands.terminal.asking import ConfigOption, SocketOption, ended
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.problem_table import print_problems

_BOTH_END: Final = "Both versions end; their connections drain."


app = typer.Typer()


@app.command(
    epilog="Example: plexigate upgrade && plexigate status; plexigate upgrade --program /opt/plexigate-2/bin/plexigate",
)
def upgrade(
    program: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The new program. Default: the path with which the proxy was started."),
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for the whole upgrade (60), at least 5.")] = None,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write each step as one line of JSON.")] = False,
) -> None:
    """Replace the running proxy with the installed version. No connection is
    refused.

    The running proxy starts the new program with the arguments of its own start
    and hands over its sockets. The new version reads the configuration, starts
    its workers and serves. The old workers finish their connections within
    limits.drain_timeout. If the new version is not ready in time or fails in its
    first seconds, the old one continues to serve. If the proxy is asked to stop
    meanwhile, both end.

    Only the user of the proxy and root may ask. A proxy that runs as root starts
    only a program that root alone can change.

    Exits with 0 when the new version serves, with 1 when it does not, with 2 when
    the upgrade could not begin.
    """
    last: UpgradeLine = {}
    try:
        query = {} if program is None else {"program": str(program.absolute())}
        for last in connect(config, socket).steps(
            "/upgrade", query | ({} if timeout is None else {"seconds": f"{timeout:g}"})
        ):
            typer.echo(json.dumps(last) if as_json else _line(last))
    except (ConfigError, AdminRefused, AdminUnreachable) as error:
        raise ended(str(error), 1 if last else 2) from None
    if "ok" not in last:
        raise ended("the answer ended before the outcome: plexigate status shows which version serves", 1)
    if not as_json:
        _show_problems(last.get("problems", ()))
    if not last.get("ok"):
        raise typer.Exit(1)


def _line(step: UpgradeLine) -> str:
    match step:
        case {"step": "started", "program": program, "pid": pid}:
            return f"Started {program}, process {pid}."
        case {"step": "greeted", "version": version, "sockets": sockets}:
            return f"It is version {version}, and has the {sockets} listening sockets."
        case {"step": "configured"}:
            return "It has read the configuration."
        case {"step": "ready"}:
            return "Its workers are ready."
        case {"step": "serving", "workers": workers}:
            return f"Its {workers} workers accept connections; the old ones accept no more."
        case {"ok": True, "version": version, "pid": pid}:
            return f"Upgraded: version {version} serves, process {pid}. The old workers finish their connections."
        case {"ok": False, "reason": reason}:
            serves = "The old version serves as before." if step.get("serves", True) else _BOTH_END
            return f"Not upgraded: {reason}. {serves}"
        case _:
            return str(step.get("step", ""))


def _show_problems(problems: Sequence[ProblemRow]) -> None:
    try:
        print_problems([Problem.from_json(one) for one in problems], table_console())
    except (KeyError, TypeError, ValueError):
        raise ended(f"problems of another version: {json.dumps(problems)}") from None
