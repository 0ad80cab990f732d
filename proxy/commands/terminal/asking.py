"""How a command asks the running proxy, and ends if that refuses or cannot be reached."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from config.values.problems import ConfigError
from proxy.admin.client import AdminRefused, AdminUnreachable, UnixAdminClient, connect

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration that names the admin socket.")
]
SocketOption = Annotated[Path | None, typer.Option("--socket", metavar="PATH", help="Path of the admin socket.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the answer as JSON.")]
FleetOption = Annotated[bool, typer.Option("--fleet", help="On all nodes of the fleet, also those that start later.")]


def asked(config: Path | None, socket: Path | None, ask: Callable[[UnixAdminClient], tuple[int, Any]]) -> Any:
    """Ask the running proxy and return its answer. Ends the command if there is none."""
    try:
        client = connect(config, socket)
        return client.agreed(ask(client))
    except (ConfigError, AdminUnreachable, AdminRefused) as error:
        raise ended(str(error)) from None


def fleet_query(is_for_fleet: bool) -> dict[str, str]:  # noqa: FBT001 - the value of an option
    """The parameter of a request that is for all nodes."""
    return {"fleet": "1"} if is_for_fleet else {}


def served_file(socket: Path | None = None) -> Path:
    """The running proxy's configuration. Raises `AdminUnreachable` or `AdminRefused`."""
    client = connect(None, socket)
    told = client.agreed(client.get("/status")).get("configuration")
    file = Path("" if told is None else told["file"])
    if not file.is_absolute():
        raise AdminRefused(
            200, f"{client.path}: the running proxy does not report its configuration; name it: --config FILE"
        )
    return file


def ended(sentence: str, status: int = 1) -> typer.Exit:
    """Write a sentence to standard error, and return the exit for the caller to raise."""
    typer.echo(f"plexigate: {sentence}", err=True)
    return typer.Exit(status)
