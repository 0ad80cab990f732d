"""`plexigate reload`: asks the running proxy to take over its configuration, and tells what came of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console

from config.diff import Change
from config.problems import ConfigError, Problem
from proxy.admin.client import AdminUnreachable
from proxy.commands.terminal.diff_table import render
from proxy.commands.terminal.problem_table import print_problems


class AdminClient(Protocol):
    """Whoever can ask the admin socket."""

    def post(self, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Answer status and JSON body. Raises `AdminUnreachable`."""


Connect = Callable[[Path | None, Path | None], AdminClient]
"""Finds the admin socket by the configuration (`--config`) or by its path (`--socket`), or else at its default. Raises `ConfigError` for a
configuration that cannot be read."""


@dataclass(frozen=True, slots=True)
class ReloadSummary:
    """What a reload has changed, or would change, or what stands against it; `generation` is the one that serves now."""

    ok: bool
    dry_run: bool
    generation: int
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def from_json(cls, answer: Mapping[str, Any], *, dry_run: bool) -> "ReloadSummary":
        """Take the answer of `POST /reload` to what was asked. Raises `KeyError`, `TypeError` or `ValueError` if it is none."""
        return cls(
            ok=answer["ok"],
            dry_run=dry_run,
            generation=answer["generation"],
            changes=tuple(map(Change.from_json, answer["changes"])),
            problems=tuple(map(Problem.from_json, answer["problems"])),
        )

    @property
    def conclusion(self) -> str:
        """The last word."""
        if not self.ok:
            return f"Refused: generation {self.generation} goes on as before."
        if self.dry_run:
            return f"Can be done; generation {self.generation} goes on as before."
        return f"Done: generation {self.generation} serves."


def reload_command(connect: Connect) -> Callable[..., None]:
    """Make the command of a way to reach the admin socket."""

    def reload(
        config: Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="The configuration that names the admin socket.", show_default=False),
        ] = None,
        socket: Annotated[
            Path | None,
            typer.Option(metavar="PATH", help="The admin socket itself.", show_default=False),
        ] = None,
        is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,  # noqa: FBT002 - the signature of a typer command
        as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,  # noqa: FBT002 - as above
    ) -> None:
        """Take over the changed configuration without a dropped connection, and say what has changed.

        All workers change together, or none does. Exits with 0 when it is done (with --dry-run: can be done), with 1 when something
        stands against it: then everything goes on as before.
        """
        try:
            answer, report = _ask(connect(config, socket), dry_run=is_dry_run)
        except ConfigError as error:
            print_problems(error.problems, Console(stderr=True))
            raise typer.Exit(1) from None
        except AdminUnreachable as error:
            typer.echo(f"plexigate: {error}", err=True)
            raise typer.Exit(1) from None
        if as_json:
            typer.echo(json.dumps(answer, indent=2))
        else:
            _show(report, Console())
        if not report.ok:
            raise typer.Exit(1)

    return reload


def _ask(client: AdminClient, *, dry_run: bool) -> tuple[dict[str, Any], ReloadSummary]:
    status, answer = client.post("/reload", {"dry_run": "1"} if dry_run else {})
    try:
        return answer, ReloadSummary.from_json(answer, dry_run=dry_run)
    except (KeyError, TypeError, ValueError):
        found = f"status {status} and no report: {json.dumps(answer)[:200]}"
        raise AdminUnreachable("POST /reload", found, "is it a Plexigate of this version that listens there?") from None


def _show(report: ReloadSummary, console: Console) -> None:
    print_problems(report.problems, console)
    if report.changes or report.ok:
        console.print(render(report.changes))
    console.print(report.conclusion, highlight=False)
