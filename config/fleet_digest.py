"""What a fleet compares of the configurations of its nodes. Pure.

An operator gives all nodes the same file, apart from what each machine has for itself. The digest
leaves that out: whole tables about the machine, and where it listens. So two nodes with the same
digest serve clients alike.
"""

import hashlib
import json
import tomllib
from collections.abc import Container, Mapping
from typing import Any, Final

from config.values.pkcs11_uri import is_pkcs11_uri

OF_THE_NODE: Final = frozenset(
    {"workers", "user", "group", "hsm", "sealing", "backup", "audit", "log", "admin", "fleet"}
)
"""Tables and keys at the top that each node may have of its own: its processors and accounts, its
tokens and PINs, its own secrets, logs and admin socket, and who it is.
"""
PLACES: Final = {"plain": frozenset({"bind"}), "rotation": frozenset({"state"}), "payload": frozenset({"directory"})}
"""Keys of tables that each node may have of its own: addresses, and where its state lies."""
_ELSEWHERE: Final = "pkcs11:"


def fleet_digest(content: bytes) -> str:
    """The SHA-256 of what all nodes have alike, in hexadecimal. `content` has been accepted before.

    Comments, the order of keys and the way in which values are written make no difference. Keys in
    tokens count as one: each node has its own token.
    """
    document = {
        key: _without_places(key, value)
        for key, value in tomllib.loads(content.decode("utf-8-sig")).items()
        if key not in OF_THE_NODE
    }
    return hashlib.sha256(json.dumps(_plain(document), sort_keys=True).encode()).hexdigest()


def _without_places(key: str, value: Any) -> Any:
    if key == "listener":
        return {name: _without(PLACES["plain"], listener) for name, listener in value.items()}
    return _without(PLACES[key], value) if key in PLACES else value


def _without(places: Container[str], table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in places}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case str() if is_pkcs11_uri(value):
            return _ELSEWHERE
        case str() | bool() | int() | float():
            return value
        case _:  # dates and times, which JSON has not
            return str(value)
