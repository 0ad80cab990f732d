"""`plexigate certs list|show|rotate|rollback|history`: certificates that the proxy issues and
rotates.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from proxy.api.certificates import RotationLine
from proxy.commands.certs import trust
from proxy.commands.certs.tables import details, history_table, listing_table, step_line
from proxy.commands.certs.targets import CommandTarget, offline_of, said_errors
from proxy.commands.terminal.answers import FILE_COLUMNS, answer, write_json, write_table
from proxy.commands.terminal.asking import SocketOption, ended, served_file
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.help_text import WholeSentences

_WAITING = 3
"""Exit status: the issuer refuses requests until a later time, and --wait was not given."""

_Name = Annotated[str, typer.Argument(metavar="NAME", help="NAME of [identity.NAME].")]
_Config = Annotated[Path | None, typer.Option(metavar="FILE", help="Configuration; it names the admin socket too.")]
_Json = Annotated[bool, typer.Option("--json", help="Write JSON.")]
_Offline = Annotated[
    bool, typer.Option("--offline", help="Use the state directory of --config instead of the running proxy.")
]
_Slot = Annotated[
    str | None,
    typer.Option(
        "--credential",
        metavar="KIND",
        help="Only this credential: ec, rsa, mldsa-65, mldsa-87, or ec@TOKEN for one of several replicas.",
    ),
]

# ruff: noqa: PLR0913 - the signature of typer commands


app = typer.Typer(
    name="certs",
    cls=WholeSentences,
    help="Manage certificates that rotate automatically: list, rotate now, roll back, check, trust.",
    no_args_is_help=True,
)


@app.command("list", epilog="Example: plexigate certs list --json | jq '.[] | select(.next.urgency != \"calm\")'")
def listing(
    config: _Config = None, socket: SocketOption = None, offline: _Offline = False, as_json: _Json = False
) -> None:
    """List all certificates that rotate automatically: issuer, key and its place,
    serial, expiry, next rotation and reason.
    """
    with said_errors():
        certificates = CommandTarget(config, socket, offline).listing()
    answer(certificates, lambda: listing_table(certificates), as_json=as_json)


@app.command(epilog="Example: plexigate certs show chat")
def show(
    name: _Name, config: _Config = None, socket: SocketOption = None, offline: _Offline = False, as_json: _Json = False
) -> None:
    """Show the certificates of one identity."""
    with said_errors():
        found = [one for one in CommandTarget(config, socket, offline).listing() if one["identity"] == name]
    if not found:
        raise ended(f"identity {name} has no certificate that rotates automatically")
    if as_json:
        write_json(found)
    for one in [] if as_json else found:
        write_table(details(one))


@app.command(epilog="Example: plexigate certs rotate chat --credential ec; plexigate certs rotate --all --dry-run")
def rotate(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="NAME of [identity.NAME].")] = None,
    every: Annotated[bool, typer.Option("--all", help="Rotate all identities, one after the other.")] = False,
    slot: _Slot = None,
    compromised: Annotated[
        bool,
        typer.Option("--compromised", help="The key was disclosed: destroy it at once and revoke its certificate."),
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Ask the issuer even before the time that its rate limit or Retry-After set.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done; change nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the issuer accepts requests again.")] = False,
    config: _Config = None,
    socket: SocketOption = None,
    offline: _Offline = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write each step as one line of JSON.")] = False,
) -> None:
    """Rotate now: issue, check and store a new certificate for a new key; all
    workers switch to it together.

    No connection is closed. The command tries at once, even after failures. If
    the issuer refuses requests until a later time (rate limit, Retry-After), the
    command shows that time and exits with 3; the proxy tries again then. --wait
    waits for it; --now and --compromised ask the issuer anyway.

    Shows each step as it happens. Exits with 0 when all certificates are rotated,
    with 1 when one is not: the old certificate then stays in use. A rotation that
    is already running is not started twice.
    """
    if (name is None) is not every:
        raise typer.BadParameter("give either NAME or --all")
    from proxy.admin.requests.wishes import RotationWish

    wish = RotationWish(is_compromised=compromised, insists=now, is_dry_run=dry_run)
    target = CommandTarget(config, socket, offline)
    with said_errors():
        names = [name] if name is not None else target.names()
    statuses = {_rotated(target.rotate(one, slot, wish), as_json=as_json, waits=wait) for one in names}
    if statuses - {0}:
        raise typer.Exit(min(statuses - {0}))


def _rotated(steps: Iterator[RotationLine], *, as_json: bool, waits: bool) -> int:
    """Show the steps of one identity. Returns the exit status."""
    console = table_console(FILE_COLUMNS)
    is_done = True
    for step in _told(steps):
        if as_json:
            typer.echo(json.dumps(step))
        elif "ok" not in step:
            console.print(step_line(step), highlight=False)
        is_done = is_done and step.get("ok", step.get("rotated", True))
        if step.get("step") == "waiting" and not waits:
            return _WAITING
    return 0 if is_done else 1


def _told(steps: Iterator[RotationLine]) -> Iterator[RotationLine]:
    with said_errors():  # not those of what shows the steps
        yield from steps


@app.command(epilog="Example: plexigate certs rollback chat")
def rollback(
    name: _Name,
    slot: _Slot = None,
    config: _Config = None,
    socket: SocketOption = None,
    offline: _Offline = False,
    as_json: _Json = False,
) -> None:
    """Return to the previous certificate, as long as it is valid and its key is
    kept (rotation.grace).

    The credentials of an identity go back together or none does. Exits with 1
    when none does, with the reason for each.
    """
    with said_errors():
        results = CommandTarget(config, socket, offline).roll_back(name, slot)
    if as_json:
        write_json(results)
    for one in [] if as_json else results:
        what = f"version {one['version']} serves again, serial {one['serial']}" if one["ok"] else one["detail"]
        typer.echo(f"{one['identity']} {one['credential']}: {what}")
    if not all(one["ok"] for one in results):
        raise typer.Exit(1)


@app.command(epilog="Example: plexigate certs history chat")
def history(name: _Name, config: _Config = None, socket: SocketOption = None, as_json: _Json = False) -> None:
    """Show earlier certificates of an identity and their states, from the state
    directory.
    """
    from certs.rotation.history import history as versions_of

    with said_errors():
        offline = offline_of(config or served_file(socket))
        shelves = offline.shelves(name)
        if not shelves:
            raise ended(f"identity {name} has no certificate that rotates automatically")
        versions = [entry for shelf in shelves for entry in versions_of(shelf)]
    answer(versions, lambda: history_table(versions), as_json=as_json)


trust.add_to(app)
