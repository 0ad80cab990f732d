"""`plexigate upgrade`: has the running proxy replaced by a new version, and shows each step."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import typer

from config.problems import ConfigError, Problem
from proxy.admin.client import AdminRefused, AdminUnreachable, connect
from proxy.commands.terminal.admin_options import ConfigOption, SocketOption
from proxy.commands.terminal.asking import ended
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.problem_table import print_problems

_BOTH_END: Final = "Both versions end; their connections drain."

# ruff: noqa: FBT002 - the signature of a typer command


class SteppingClient(Protocol):
    """Sends a request to the admin socket, and reads the steps of the answer."""

    def steps(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Each step as it comes. Raises `AdminUnreachable` and `AdminRefused`."""


ConnectSteps = Callable[[Path | None, Path | None], SteppingClient]
"""Finds the admin socket, as `reload.Connect`."""


def upgrade_command(connect: ConnectSteps) -> Callable[..., None]:
    """Make the command; `connect` reaches the admin socket."""

    def upgrade(
        program: Annotated[
            Path | None,
            typer.Option(
                metavar="PATH",
                help="The new program. Default: the file of the start, as it is now.",
                show_default=False,
            ),
        ] = None,
        timeout: Annotated[
            float | None,
            typer.Option(help="Seconds for the whole upgrade (60), at least 5.", show_default=False),
        ] = None,
        config: ConfigOption = None,
        socket: SocketOption = None,
        as_json: Annotated[bool, typer.Option("--json", help="Write each step as one line of JSON.")] = False,
    ) -> None:
        """Replace the running proxy by the installed version. No connection is
        refused.

        The running proxy starts the new program with the arguments of its own start
        and hands over its sockets. The new version reads the configuration, starts
        its workers and serves. The old workers finish their connections within
        limits.drain_timeout. If the new version is not ready in time or fails in its
        first seconds, the old one goes on serving. If the proxy is told to stop
        meanwhile, both end.

        Only the user of the proxy and root may ask. A proxy that runs as root starts
        only a program that root alone can change.

        Exits with 0 when the new version serves, with 1 when it does not, with 2 when
        the upgrade could not begin.
        """
        last: dict[str, Any] = {}
        try:
            query = {} if program is None else {"program": str(program.absolute())}
            for last in connect(config, socket).steps(
                "/upgrade", query | ({} if timeout is None else {"seconds": f"{timeout:g}"})
            ):
                typer.echo(json.dumps(last) if as_json else _line(last))
        except (ConfigError, AdminRefused, AdminUnreachable) as error:
            raise ended(str(error), 1 if last else 2) from None
        if "ok" not in last:
            raise ended("the answer ended before the outcome: plexigate status tells which version serves", 1)
        if not as_json:
            _show_problems(last.get("problems", ()))
        if not last.get("ok"):
            raise typer.Exit(1)

    return upgrade


def _line(step: Mapping[str, Any]) -> str:
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


def _show_problems(problems: list[dict[str, Any]]) -> None:
    try:
        print_problems([Problem.from_json(one) for one in problems], table_console())
    except (KeyError, TypeError, ValueError):
        raise ended(f"problems of another version: {json.dumps(problems)}") from None


app = typer.Typer()
app.command(
    epilog="Example: plexigate upgrade && plexigate status; plexigate upgrade --program /opt/plexigate-2/bin/plexigate",
)(upgrade_command(connect))
