"""What `plexigate certs check` looks at: the chains of an identity, from files and from the store, and where the proxy listens."""

from collections.abc import Iterator
from pathlib import Path

from certs.chain import read_chain
from certs.rotation.facts import chain_of
from certs.rotation.parts import parts_of
from config.addresses import Bind, Refused, parse_bind
from config.loaded import LoadedConfig
from config.loader import load
from config.problems import ConfigError, Problem, shown
from config.schema import IssuedCredentialConfig
from proxy.admin.client import AdminUnreachable, connect
from proxy.rotation.clocks import CLOCKS
from proxy.rotation.live_check import Subject


def subjects(file: Path, name: str, ca: Path | None) -> tuple[LoadedConfig, list[Subject]]:
    """The chains of an identity; `ca` are the roots of those from files.

    Raises `ConfigError`, `CredentialError`, `ShelfDamaged`, `IssueFailed` or `OSError`.
    """
    loaded = load(file)
    if name not in loaded.config.identity:
        known = ", ".join(loaded.config.identity)
        raise ConfigError([Problem(str(file), f"identity.{name}", f"no identity {shown(name)}", f"one of {known}")])
    return loaded, list(_subjects(loaded, name, ca))


def _subjects(loaded: LoadedConfig, name: str, ca: Path | None) -> Iterator[Subject]:
    parts = parts_of(loaded, CLOCKS.wall)
    identity = loaded.config.identity[name]
    for one in identity.credentials:
        if not isinstance(one, IssuedCredentialConfig):
            roots = () if ca is None else read_chain(ca)
            yield Subject(
                f"{name} {one.certificate}", read_chain(loaded.resolve(one.certificate)), identity.names, roots
            )
            continue
        assert parts is not None  # cross-checked
        version = parts.store.shelf(name, one.key.slot).current()
        if version is None:
            found, allowed = f"{one.key}, whose certificate is not there yet", f"plexigate certs rotate {name}"
            raise ConfigError([Problem(str(loaded.path), f"identity.{name}", found, allowed)])
        yield Subject(f"{name} {one.key}", chain_of(version), identity.names, parts.issuers[one.issuer].roots)


def listening(loaded: LoadedConfig) -> list[Bind]:
    """Where the running proxy listens, or else where it would. Raises `ConfigError` for ports that nobody can tell."""
    try:
        status, document = connect(loaded.path, None).get("/status")
        texts = [text for one in document["listeners"] for text in one["addresses"]] if status == 200 else []
        return [parse_bind(text) for text in texts]
    except (AdminUnreachable, KeyError, Refused):
        binds = [bind for one in loaded.config.listener.values() for bind in one.bind]
        if any(bind.port == 0 for bind in binds):
            found, allowed = "port 0, and no running proxy to ask which one it is", "a running proxy, or --no-live"
            raise ConfigError([Problem(str(loaded.path), "listener", found, allowed)]) from None
        return binds
