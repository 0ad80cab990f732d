"""Commands about the rings of payload encryption: `plexigate payload rotate|list|export|retire|revoke|identity`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text

from proxy.commands.terminal.asking import asked, ended
from proxy.commands.terminal.console import table_console
from proxy.commands.terminal.output_file import AlreadyThere, write_for_person

# Wide enough for every table where the output is no terminal.
_FILE_COLUMNS = 160
_STYLES = {"active": "bold green", "pending": "cyan", "valid": "green", "retired": "dim", "revoked": "red"}

app = typer.Typer(name="payload", help="The keys by which bodies are encrypted.", no_args_is_help=True)

_Config = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The configuration that names the admin socket.", show_default=False),
]
_Socket = Annotated[Path | None, typer.Option(metavar="PATH", help="The admin socket itself.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")]
_Ring = Annotated[str, typer.Argument(metavar="RING", help="NAME of \\[payload.ring.NAME].", show_default=False)]
_Version = Annotated[int, typer.Argument(metavar="VERSION", min=1, help="As in the list.", show_default=False)]
_Output = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write to a file that only you can read.", show_default=False),
]
_Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there with something else in it.")]
_KeysOnly = Annotated[
    bool, typer.Option("--multifernet", help="Only the keys, one a line, the newest first: for MultiFernet.")
]


@app.command("list", epilog="Example: plexigate payload list --json | jq '.rings[].keys[0].uses'")
def list_rings(config: _Config = None, socket: _Socket = None, as_json: _Json = False) -> None:  # noqa: FBT002 - the signature of a typer command
    """Show every ring and its keys: versions, states, ages, how many messages were encrypted. No secret."""
    document = asked(config, socket, lambda client: client.get("/payload"))
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    console = table_console(_FILE_COLUMNS)
    console.print(ring_table(document))


def ring_table(document: dict[str, Any]) -> Table:
    """The rings of an answer to `GET /payload`."""
    table = Table("ring", "key", "state", "since", "messages", "ended", box=None, header_style="bold")
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
def rotate(ring: _Ring, config: _Config = None, socket: _Socket = None, as_json: _Json = False) -> None:  # noqa: FBT002 - as above
    """Encrypt with a new key from now on; the ones before it stay valid as the configuration says."""
    answer = asked(config, socket, lambda client: client.post(f"/payload/{quote(ring, safe='')}/rotate", {}))
    _said(answer, f"Ring {ring} encrypts with key {answer['version']}.", as_json=as_json)


@app.command(epilog="Example: plexigate payload retire chat 3")
def retire(
    ring: _Ring,
    version: _Version,
    config: _Config = None,
    socket: _Socket = None,
    as_json: _Json = False,  # noqa: FBT002 - as above
) -> None:
    """End a key that no client needs any more; not the one that encrypts."""
    answer = asked(config, socket, lambda client: client.post(_path(ring, version, "retire"), {}))
    _said(answer, f"Key {version} of ring {ring} is retired.", as_json=as_json)


@app.command(epilog="Example: plexigate payload revoke chat 3")
def revoke(
    ring: _Ring,
    version: _Version,
    config: _Config = None,
    socket: _Socket = None,
    as_json: _Json = False,  # noqa: FBT002 - as above
) -> None:
    """End a key that is in the wrong hands, in all workers before this returns; the one that encrypts is replaced first."""
    answer = asked(config, socket, lambda client: client.post(_path(ring, version, "revoke"), {}))
    _said(answer, f"Key {version} of ring {ring} is revoked.", as_json=as_json)


@app.command(epilog="Example: plexigate payload export chat --output chat-keys.json")
def export(
    ring: _Ring,
    config: _Config = None,
    socket: _Socket = None,
    output: _Output = None,
    keys_only: _KeysOnly = False,  # noqa: FBT002 - as above
    force: _Force = False,  # noqa: FBT002 - as above
) -> None:
    """Write the keys of a ring for its clients: secrets, by which every message of the ring can be read and made."""
    answer = asked(config, socket, lambda client: client.get(f"/payload/{quote(ring, safe='')}/export"))
    text = "\n".join(key["key"] for key in answer["keys"]) if keys_only else json.dumps(answer, indent=2)
    _written(text + "\n", output, replaces=force)


@app.command(epilog="Example: plexigate payload identity --output payload-identity.json")
def identity(
    config: _Config = None,
    socket: _Socket = None,
    output: _Output = None,
    force: _Force = False,  # noqa: FBT002 - as above
) -> None:
    """Write the public keys that clients of sessions pin. Nothing secret, but they have to be the right ones."""
    answer = asked(config, socket, lambda client: client.get("/payload-identity"))
    _written(json.dumps(answer, indent=2) + "\n", output, replaces=force)


def _path(ring: str, version: int, verb: str) -> str:
    return f"/payload/{quote(ring, safe='')}/{version}/{verb}"


def _said(answer: dict[str, Any], sentence: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(answer, indent=2) if as_json else sentence)


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
