"""`plexigate password`: write the line of a user for the file of `basic_auth`."""

import getpass
import secrets
import sys
from typing import Annotated, Final

import typer

from proxy.auth.password_hash import new_hash
from proxy.auth.users import NAMES, is_user_name
from proxy.commands.terminal.asking import ended

_SALT_BYTES: Final = 16
_LEAST: Final = 8
_MOST: Final = 1_024  # octets: longer ones do not fit into an Authorization field

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the user.")]


app = typer.Typer()


@app.command(epilog="Example: (umask 077; plexigate password ada >> /etc/plexigate/admins.users)")
def password(name: _Name) -> None:
    """Write the line of a user for the file that basic_auth of a route names.

    The password is asked for twice at a terminal, and is not shown. Without a
    terminal it is one line of standard input. The line has an Argon2id hash.
    """
    if not is_user_name(name):
        raise ended(f'the name "{name}"; allowed: {NAMES}', 2)
    secret = _asked(name)
    size = len(secret.encode())
    if not _LEAST <= size <= _MOST:
        raise ended(f"a password of {size} octets; allowed: from {_LEAST} to {_MOST:_}")
    typer.echo(f"{name}:{new_hash(secret.encode(), secrets.token_bytes(_SALT_BYTES))}")


def _asked(name: str) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        return "" if sys.stdin is None else sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"Password of {name} (not shown): ")
    if getpass.getpass("Once more: ") != first:
        raise ended("the two passwords differ")
    return first
