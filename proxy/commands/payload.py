"""Commands for the key rings of payload encryption.

`plexigate payload list|rotate|retire|revoke|export|identity|client`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from proxy.api.commands import ExportDocument, RingChange, RingsDocument
from proxy.commands.payload_clients import ClientLanguage, write_client
from proxy.commands.terminal.answers import answer
from proxy.commands.terminal.asking import ConfigOption, JsonOption, SocketOption, asked, ended
from proxy.commands.terminal.help_text import WholeSentences
from proxy.commands.terminal.output_file import AlreadyThere, write_for_person
from proxy.commands.terminal.tables import plain_table

_STYLES = {"active": "bold green", "pending": "cyan", "valid": "green", "retired": "dim", "revoked": "red"}

app = typer.Typer(
    name="payload", cls=WholeSentences, help="Manage the keys that encrypt message bodies.", no_args_is_help=True
)

_Ring = Annotated[str, typer.Argument(metavar="RING", help="NAME of [payload.ring.NAME].")]
_Version = Annotated[
    int, typer.Argument(metavar="VERSION", min=1, help="Version of the key, as payload list shows it.")
]
_Output = Annotated[Path | None, typer.Option(metavar="FILE", help="Write to this file, with mode 0600.")]
_Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing file that has another content.")]
_KeysOnly = Annotated[
    bool, typer.Option("--multifernet", help="Write the keys alone, one per line, newest first (for MultiFernet).")
]


@app.command("list", epilog="Example: plexigate payload list --json | jq '.rings[].keys[0].uses'")
def list_rings(config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """List all rings and their keys: version, state, age, number of encrypted
    messages. Shows no secret.
    """
    document: RingsDocument = asked(config, socket, lambda admin: admin.get("/payload"))
    answer(document, lambda: ring_table(document), as_json=as_json)


def ring_table(document: RingsDocument) -> Table:
    table = plain_table("ring", "key", "state", "since", ">messages", "ended")
    for ring in document["rings"]:
        for index, key in enumerate(ring["keys"]):
            table.add_row(
                "" if index else ring["name"],
                str(key["version"]),
                Text(key["state"], style=_STYLES.get(key["state"], "")),
                _time(key["created"]),
                f"{key['uses']:,}",
                "" if key["ended"] is None else _time(key["ended"]),
            )
    return table


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


@app.command(epilog="Example: plexigate payload rotate chat")
def rotate(ring: _Ring, config: ConfigOption = None, socket: SocketOption = None, as_json: JsonOption = False) -> None:
    """Encrypt with a new key from now on. Earlier keys stay valid for as long as
    the configuration allows.
    """
    made: RingChange = asked(config, socket, lambda admin: admin.post(f"/payload/{quote(ring, safe='')}/rotate", {}))
    answer(made, lambda: f"Ring {ring} encrypts with key {made['version']}.", as_json=as_json)


@app.command(epilog="Example: plexigate payload retire chat 3")
def retire(
    ring: _Ring,
    version: _Version,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retire a key that no client needs any more. The key that encrypts now
    cannot be retired.
    """
    ended_key: RingChange = asked(config, socket, lambda admin: admin.post(_path(ring, version, "retire"), {}))
    answer(ended_key, lambda: f"Key {version} of ring {ring} is retired.", as_json=as_json)


@app.command(epilog="Example: plexigate payload revoke chat 3")
def revoke(
    ring: _Ring,
    version: _Version,
    config: ConfigOption = None,
    socket: SocketOption = None,
    as_json: JsonOption = False,
) -> None:
    """Revoke a key that was disclosed: no worker accepts it when the command
    returns.

    If it is the key that encrypts now, a new one replaces it first.
    """
    ended_key: RingChange = asked(config, socket, lambda admin: admin.post(_path(ring, version, "revoke"), {}))
    answer(ended_key, lambda: f"Key {version} of ring {ring} is revoked.", as_json=as_json)


@app.command(epilog="Example: plexigate payload export chat --output chat-keys.json")
def export(
    ring: _Ring,
    config: ConfigOption = None,
    socket: SocketOption = None,
    output: _Output = None,
    keys_only: _KeysOnly = False,
    force: _Force = False,
) -> None:
    """Write the keys of a ring for its clients. They are secret: they decrypt and
    forge every message of the ring.
    """
    exported: ExportDocument = asked(config, socket, lambda admin: admin.get(f"/payload/{quote(ring, safe='')}/export"))
    text = "\n".join(key["key"] for key in exported["keys"]) if keys_only else json.dumps(exported, indent=2)
    _written(text + "\n", output, replaces=force)


@app.command(epilog="Example: plexigate payload identity --output payload-identity.json")
def identity(
    config: ConfigOption = None,
    socket: SocketOption = None,
    output: _Output = None,
    force: _Force = False,
    replaces: Annotated[
        bool, typer.Option("--replace", help="Sign by new keys: clients make no session before they pin these.")
    ] = False,
) -> None:
    """Write the public keys that clients of sessions pin. They are not secret;
    deliver them unaltered.
    """
    path = "/payload-identity"
    keys = asked(config, socket, lambda admin: admin.post(path, {}) if replaces else admin.get(path))
    _written(json.dumps(keys, indent=2) + "\n", output, replaces=force)


@app.command(epilog="Example: plexigate payload client --js web/plexigate && plexigate payload client --python vendor")
def client(
    python: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the Python package, which needs only cryptography.")
    ] = None,
    javascript: Annotated[
        Path | None, typer.Option("--js", metavar="DIR", help="Write the module for browsers, Node, Deno and Bun.")
    ] = None,
    force: _Force = False,
) -> None:
    """Write the client for applications, with README, types and license. It needs
    no running proxy and contains no key.
    """
    wanted = {ClientLanguage.PYTHON: python, ClientLanguage.JAVASCRIPT: javascript}
    directories = {language: directory for language, directory in wanted.items() if directory is not None}
    if not directories:
        raise typer.BadParameter("say where to: --python DIR, --js DIR, or both")
    for language, directory in directories.items():
        try:
            paths = write_client(language, directory, replaces=force)
        except AlreadyThere as error:
            raise ended(str(error)) from None
        except OSError as error:
            raise ended(f'"{error.filename or directory}": {error.strerror}') from None
        typer.echo(f"{directory} has the {language} client, {len(paths)} files. Begin with {directory / 'README.md'}.")


def _path(ring: str, version: int, verb: str) -> str:
    return f"/payload/{quote(ring, safe='')}/{version}/{verb}"


def _written(text: str, output: Path | None, *, replaces: bool) -> None:
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        write_for_person(output, text.encode(), replaces=replaces)
    except AlreadyThere as error:
        raise ended(str(error)) from None
    except OSError as error:
        raise ended(f'"{output}": {error.strerror}') from None
