"""An internal CA as the nodes of a fleet exchange it: one root, and any node that leads signs.

Keys that are files go along. A key in a token does not: only its address does, so only nodes that
have this token sign. The numbers of intermediates are the same on all nodes, because the addresses
of revocation lists have them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypedDict

from certs.homes.software_homes import FileHome
from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.internal_ca.lists import LIST, REVOKED, writing_alone
from certs.keys.home import HomeFailed, Homes
from certs.storage.disk import Disk
from certs.storage.intent import Intent
from certs.storage.ledger import Ledger
from certs.storage.shelf import Shelf, StoredVersion
from config.loading.watching import Signature
from config.tables.rotation import KeySpec, parse_key_spec

_NAMES: Final = ("ledger.json", REVOKED, LIST)
_OWN: Final = ".own"
"""Ends the name of the directory of a CA that this node had before it joined a fleet."""


class VersionCopy(TypedDict):
    """A version of a shelf: files as texts; `key` is None where it was moved away or destroyed."""

    number: int
    intent: str
    chain: str
    key: str | None


class ShelfCopy(TypedDict):
    ledger: str
    versions: list[VersionCopy]


class AuthorityCopy(TypedDict):
    """With its private keys: the caller seals it."""

    root: ShelfCopy
    intermediate: ShelfCopy
    revoked: str
    lists: str


def stamp(authority: InternalAuthority) -> Signature:
    """Changes with what `copied` answers. Blocks."""
    places = (authority.root_shelf.directory, authority.intermediate_shelf.directory, authority.directory)
    return Signature.of([*places, *(place / name for place in places for name in _NAMES)])


def copied(authority: InternalAuthority, homes: Homes) -> AuthorityCopy | None:
    """What other nodes need; None without a root. Blocks.

    Raises `HomeFailed`, `OSError` or `ShelfDamaged`.
    """
    if not authority.has_root:
        return None
    return {
        "root": _copied(authority.root_shelf, homes),
        "intermediate": _copied(authority.intermediate_shelf, homes),
        "revoked": _text(authority.directory / REVOKED),
        "lists": _text(authority.directory / LIST),
    }


def _copied(shelf: Shelf, homes: Homes) -> ShelfCopy:
    return {"ledger": shelf.ledger().encode().decode(), "versions": list(_versions(shelf, homes))}


def _versions(shelf: Shelf, homes: Homes) -> Iterator[VersionCopy]:
    for one in reversed(shelf.versions()):
        chain = one.chain_path.read_text(encoding="ascii")
        yield {
            "number": one.number,
            "intent": one.intent.encode().decode(),
            "chain": chain,
            "key": _key(shelf, one, homes) if one.has_key else None,
        }


def _key(shelf: Shelf, version: StoredVersion, homes: Homes) -> str:
    kept = version.kept_path.read_bytes()
    home = homes.get(version.spec.place)
    if home is None:
        raise HomeFailed(version.spec.place, "the configuration has no such place")
    if isinstance(home, FileHome):
        kept = home.for_workers(shelf.key_name(version.number, version.spec), kept)
    return kept.decode()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


def install(copy: Mapping[str, Any], authority: InternalAuthority, homes: Homes, disk: Disk) -> None:
    """Take what `copied` answered on another node. Blocks.

    A CA that this node had before stays in a directory beside. Raises `HomeFailed`, `OSError`,
    `ShelfDamaged`, `StillWriting`; and `KeyError`, `TypeError` or `ValueError` for anything else.
    """
    own = authority.root_shelf.current()
    roots = {one["chain"] for one in copy["root"]["versions"]}
    if own is not None and own.chain_path.read_text(encoding="ascii") not in roots:
        disk.rename(authority.directory, _free(authority.directory))
    disk.make_directory(authority.directory)
    for shelf, name, spec in (
        (authority.root_shelf, "root", authority.settings.root),
        (authority.intermediate_shelf, "intermediate", authority.settings.key),
    ):
        for one in copy[name]["versions"]:
            _install(one, shelf, spec, homes, disk)
        ledger = Ledger.parse(copy[name]["ledger"].encode())
        if shelf.ledger() != ledger:
            shelf.decide(ledger)
    with writing_alone(authority.directory):
        for name, text in ((REVOKED, copy["revoked"]), (LIST, copy["lists"])):
            if text and text != _text(authority.directory / name):
                disk.write(authority.directory / name, text.encode())


def _install(one: VersionCopy, shelf: Shelf, spec: KeySpec, homes: Homes, disk: Disk) -> None:
    number = one["number"]
    intent = Intent.parse(one["intent"].encode())
    version = shelf.version(number)
    if version is not None and version.chain_path.read_text(encoding="ascii") == one["chain"]:
        if one["key"] is None and version.has_key:
            disk.remove(version.kept_path)
        return
    if version is not None:
        shelf.drop(number, homes)  # this node made it as the leader, and another one came first
    kept = None if one["key"] is None else one["key"].encode()
    home = homes.get(spec.place)
    if isinstance(home, FileHome) and kept is not None and kept.startswith(b"-----BEGIN"):
        # where the key rests is a matter of each node
        made = KeySpec(parse_key_spec(intent.key).algorithm, spec.place)
        intent = replace(intent, key=str(made))
        kept = home.keep(shelf.key_name(number, made), kept)
    shelf.put(number, intent, kept, one["chain"].encode())


def _free(directory: Path) -> Path:
    number = 1
    while (place := directory.with_name(f"{directory.name}{_OWN}{number}")).exists():
        number += 1
    return place
