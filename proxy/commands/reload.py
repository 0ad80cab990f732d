"""`plexigate reload`: asks the running proxy to reload its configuration, and shows the result."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from config.diff import Change, EffectKind
from config.values.problems import ConfigError, Problem
from proxy.admin.client import AdminUnreachable, UnixAdminClient, connect
from proxy.api.commands import ReloadDocument
from proxy.api.fleet import FleetReloadDocument
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import ConfigOption, SocketOption, asked, ended
from proxy.commands.terminal.console import error_console, table_console
from proxy.commands.terminal.problem_table import print_problems
from proxy.commands.terminal.tables import plain_table

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class ReloadSummary:
    """The result of a reload: changes or problems; `generation` is what serves now."""

    ok: bool
    dry_run: bool
    generation: int
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def from_json(cls, answer: Mapping[str, Any], *, dry_run: bool) -> "ReloadSummary":
        """Parse the answer to `POST /reload`. Raises `KeyError`, `TypeError` or `ValueError`."""
        return cls(
            ok=answer["ok"],
            dry_run=dry_run,
            generation=answer["generation"],
            changes=tuple(map(Change.from_json, answer["changes"])),
            problems=tuple(map(Problem.from_json, answer["problems"])),
        )

    @property
    def conclusion(self) -> str:
        """The last line of the output."""
        if not self.ok:
            return f"Refused: generation {self.generation} continues unchanged."
        if self.dry_run:
            return f"Reload is possible. Generation {self.generation} continues unchanged."
        return f"Reloaded: generation {self.generation} serves."


@app.command(epilog="Example: plexigate reload --dry-run && plexigate reload")
def reload(
    config: ConfigOption = None,
    socket: SocketOption = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    is_of_fleet: Annotated[
        bool, typer.Option("--fleet", help="Reload all nodes of the fleet that are alive, or none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write the report as JSON.")] = False,
) -> None:
    """Reload the configuration of the running proxy without dropping a
    connection, and list the changes.

    All workers change together or none does. Exits with 0 when the reload is done
    (with --dry-run: is possible), with 1 when it is refused: the proxy then
    continues unchanged.

    With --fleet, put the file on all nodes first. Each compares its own with that of
    this node, without what is of the machine, and tries it. When all can, all reload.
    """
    if is_of_fleet:
        if is_dry_run:
            raise ended("--dry-run is for one node; --fleet tries on all nodes before it changes anything")
        _reload_fleet(config, socket, as_json=as_json)
        return
    try:
        document, report = _ask(connect(config, socket), dry_run=is_dry_run)
    except ConfigError as error:
        print_problems(error.problems, error_console())
        raise typer.Exit(1) from None
    except AdminUnreachable as error:
        raise ended(str(error)) from None
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _show(report, table_console())
    if not report.ok:
        raise typer.Exit(1)


def _reload_fleet(config: Path | None, socket: Path | None, *, as_json: bool) -> None:
    made: FleetReloadDocument = asked(config, socket, lambda client: client.post("/fleet/reload", {}))
    answer(made, lambda: _fleet_table(made), as_json=as_json)
    if not made["ok"]:
        raise typer.Exit(1)


def _fleet_table(made: FleetReloadDocument) -> Group:
    table = plain_table("node", "")
    for one in made["nodes"]:
        good = "reloaded" if made["committed"] else "could reload"
        table.add_row(one["node"], Text(one["fault"], style="red") if one["fault"] else Text(good))
    serves = f"serve by configuration {made['configuration'][:12]}."
    if made["ok"]:
        return Group(table, f"All nodes {serves}")
    if made["committed"]:
        return Group(table, f"Nodes without a fault {serves} Correct the others, and repeat this.")
    return Group(table, "Refused: no node has changed.")


def _ask(client: UnixAdminClient, *, dry_run: bool) -> tuple[ReloadDocument, ReloadSummary]:
    status, answer = client.post("/reload", {"dry_run": "1"} if dry_run else {})
    try:
        return answer, ReloadSummary.from_json(answer, dry_run=dry_run)
    except (KeyError, TypeError, ValueError):
        found = f"status {status} and no report: {json.dumps(answer)[:200]}"
        raise AdminUnreachable("POST /reload", found, "does a Plexigate of this version listen there?") from None


def _show(report: ReloadSummary, console: Console) -> None:
    print_problems(report.problems, console)
    if report.changes or report.ok:
        console.print(render(report.changes))
    console.print(report.conclusion, highlight=False)


# The gravest kind comes last, where a terminal stops scrolling.
_HEADINGS: Final[Mapping[EffectKind, tuple[str, str]]] = {
    EffectKind.LIVE: ("changes live", "bold green"),
    EffectKind.DRAINED: ("changes live, and ends connections", "bold yellow"),
    EffectKind.RESTART: ("needs a restart; a reload refuses it", "bold red"),
}


def render(changes: Sequence[Change]) -> RenderableType:
    """Show each change with its effect, grouped by kind."""
    return Group(*_parts(changes)) if changes else Text("nothing changes")


def _parts(changes: Sequence[Change]) -> Iterator[RenderableType]:
    for kind, (heading, style) in _HEADINGS.items():
        of_kind = [change for change in changes if change.kind is kind]
        if of_kind:
            yield Text(heading, style)
        for change in of_kind:
            # the whole block is indented, so that a long line continues below its beginning
            yield Padding(Text.assemble((change.key, "bold"), f": {change.summary}"), (0, 0, 0, 2))
            yield Padding(Text(change.effect, "dim"), (0, 0, 0, 6))
