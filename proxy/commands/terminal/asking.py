"""How commands ask a running proxy, and how they end when it does not do what it was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from config.problems import ConfigError
from proxy.admin.client import AdminRefused, AdminUnreachable, UnixAdminClient, connect


def asked(
    config: Path | None, socket: Path | None, ask: Callable[[UnixAdminClient], tuple[int, dict[str, Any]]]
) -> dict[str, Any]:
    """The answer to a question; ends the command with the sentence of whatever stands against it."""
    try:
        client = connect(config, socket)
        return client.agreed(ask(client))
    except (ConfigError, AdminUnreachable, AdminRefused) as error:
        raise ended(str(error)) from None


def ended(sentence: str, status: int = 1) -> typer.Exit:
    """Say why on standard error; to be raised."""
    typer.echo(f"plexigate: {sentence}", err=True)
    return typer.Exit(status)
