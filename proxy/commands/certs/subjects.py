"""What `plexigate certs check` examines: the chains of an identity, the addresses of the proxy."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from certs.identities.chain_file import read_chain
from certs.keys.signing_key import algorithm_of, certified_key
from certs.rotation.facts import chain_of
from certs.rotation.parts import parts_of
from config.loading.loaded import LoadedConfig
from config.loading.loader import load
from config.schema import IssuedCredential
from config.tables.plain import PLAIN_LISTENER
from config.tables.rotation import rotate_command
from config.values.addresses import Bind, parse_bind
from config.values.problems import ConfigError, Problem, shown
from proxy.admin.client import connect
from proxy.api.certificates import ShownDocument, ShownRow
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.live_check import LiveSubject
from proxy.tls.wire.groups import are_foreign, groups_in

if TYPE_CHECKING:
    from proxy.api.status import StatusDocument


def subjects(file: Path, name: str, ca: Path | None) -> tuple[LoadedConfig, list[LiveSubject]]:
    """The chains of an identity, from files and from the store; `ca` holds the roots for those from
    files.

    Raises `ConfigError`, `CredentialError`, `ShelfDamaged`, `IssueFailed` or `OSError`.
    """
    loaded = load(file)
    if name not in loaded.config.identity:
        known = ", ".join(loaded.config.identity)
        raise ConfigError([Problem(str(file), f"identity.{name}", f"no identity {shown(name)}", f"one of {known}")])
    return loaded, list(_with_replicas(list(_subjects(loaded, name, ca))))


def _with_replicas(found: list[LiveSubject]) -> Iterator[LiveSubject]:
    for one in found:
        others = (other.chain[0] for other in found if other is not one and _kind(other) == _kind(one))
        yield replace(one, replicas=tuple(others))


def _kind(subject: LiveSubject) -> str | None:
    key = certified_key(subject.chain[0])
    return None if key is None else algorithm_of(key).kind


def _subjects(loaded: LoadedConfig, name: str, ca: Path | None) -> Iterator[LiveSubject]:
    parts = parts_of(loaded, CLOCKS.wall)
    identity = loaded.config.identity[name]
    for one in identity.credentials:
        if not isinstance(one, IssuedCredential):
            roots = () if ca is None else read_chain(ca)
            yield LiveSubject(
                f"{name} {one.certificate}", read_chain(loaded.file.resolve(one.certificate)), identity.names, roots
            )
            continue
        assert parts is not None  # ensured by the crosschecks
        version = parts.store.shelf(name, one.slot).current()
        if version is None:
            found = f"{one.key}, whose certificate is not issued yet"
            allowed = rotate_command(name, one.slot)
            raise ConfigError([Problem(str(loaded.file.path), f"identity.{name}", found, allowed)])
        yield LiveSubject(f"{name} {one.key}", chain_of(version), identity.names, parts.issuers[one.issuer].roots)


def listening(loaded: LoadedConfig, socket: Path | None) -> list[Bind]:
    """Where the running proxy listens with TLS, and with groups that this process has too.

    Raises `AdminUnreachable` or `AdminRefused`.
    """
    status: StatusDocument = _answer(loaded, socket, "/status")
    with_tls = (one for one in status["listeners"] if one["name"] != PLAIN_LISTENER)
    tried = (one for one in with_tls if not are_foreign(groups_in(one["groups"])))
    return [parse_bind(text) for one in tried for text in one["addresses"]]


def shown_by_workers(loaded: LoadedConfig, socket: Path | None, name: str) -> list[ShownRow]:
    """What each worker shows for an identity. Raises `AdminUnreachable` or `AdminRefused`."""
    shown: ShownDocument = _answer(loaded, socket, f"/certificates/{quote(name, safe='')}/live")
    return shown["shown"]


def _answer(loaded: LoadedConfig, socket: Path | None, path: str) -> Any:
    client = connect(loaded.file.path, socket)
    return client.agreed(client.get(path))
