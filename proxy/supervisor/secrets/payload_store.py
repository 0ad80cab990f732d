"""The store of the rings of payload encryption: a directory with one sealed file for each ring.

Only the parent reads the files. Every method blocks: call it in a thread.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from certs.files.directory import make_directories
from certs.hierarchy.configured import directory_of
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.files import SealedFileUnusable, read_sealed, write_sealed
from certs.sealing.held_key import HeldKey
from certs.sealing.key_file import KEY_BYTES, KeyFileUnusable, create_key, load_key
from certs.sealing.own_key import OWN_KEY_FILE
from certs.sealing.sealer import AeadSealer, Sealer
from config.loading.loaded import ConfigFile, LoadedConfig
from config.schema import Config
from config.tables.payload import PayloadConfig
from config.tables.sealing import SealingConfig
from config.values.problems import ConfigError, Problem
from proxy.payload.key_document import Identity, PublicKey
from proxy.payload.keys.keyring import Keyring, RingKey
from proxy.payload.keys.payload_keys import TICKETS, PayloadKeys, document_of, policies, suite_of
from proxy.payload.keys.suite_table import completed, suite, suite_problems, variant_warnings

_IDENTITY: Final = "identity"


class PayloadStoreUnusable(Exception):
    """Rings cannot be read or written. `found` names the file and shows no part of a key."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return self.found


@dataclass(frozen=True, slots=True)
class PayloadStore:
    directory: Path
    sealer: Sealer
    makes: bool = True
    """Whether anything is written. What a store makes that is only looked at is not kept."""

    @classmethod
    def open(cls, directory: Path, vault: Vault | None, *, makes: bool = True) -> Self:
        """The store in a directory (`payload_directory`).

        Without a `vault` a key in that directory seals. If `makes`, a missing directory and a
        missing key are made; else nothing is. Raises `PayloadStoreUnusable`.
        """
        try:
            if makes:
                make_directories(directory)
            if vault is not None:
                return cls(directory, vault.sealer(Purpose.PAYLOAD_KEYRING), makes)
            path = directory / OWN_KEY_FILE
            key = _own_key(path, makes=makes)
        except KeyFileUnusable as error:
            raise PayloadStoreUnusable(str(error)) from None
        except OSError as error:
            raise PayloadStoreUnusable(f'"{directory}": {error.strerror}') from None
        return cls(directory, AeadSealer(key), makes)

    def read(self, ring: str) -> Keyring | None:
        """Read a ring. None if it was never written. Raises `PayloadStoreUnusable`."""
        document = self._read(_stem(ring), ring)
        if document is None:
            return None
        try:
            return Keyring.from_json(document)
        except (KeyError, TypeError, ValueError):
            raise PayloadStoreUnusable(f'"{self._path(_stem(ring))}" holds no ring of keys') from None

    def write(self, ring: Keyring) -> None:
        """Replace a ring as a whole, or raise `PayloadStoreUnusable` and keep the old file."""
        self._write(_stem(ring.name), ring.name, ring.as_json())

    def identity(self) -> Identity:
        """The identity that signs sessions, made if missing. Raises `PayloadStoreUnusable`."""
        document = self._read(_IDENTITY, _IDENTITY)
        if document is None:
            identity = Identity.generate()
            self._write(_IDENTITY, _IDENTITY, identity.as_json())
            return identity
        try:
            return Identity.from_json(document)
        except (KeyError, TypeError, ValueError):
            raise PayloadStoreUnusable(f'"{self._path(_IDENTITY)}" holds no identity') from None

    def adopt(self, identity: Identity) -> None:
        """Sign sessions by this identity from now on. Raises `PayloadStoreUnusable`."""
        self._write(_IDENTITY, _IDENTITY, identity.as_json())

    def keys(self, config: Config, known: Mapping[str, Keyring], now: float) -> PayloadKeys:
        """Every ring that a configuration needs: a `known` one, or a new one, which is written.

        Raises `PayloadStoreUnusable`.
        """
        complete = completed(config, known, now)
        for name, ring in complete.items():
            if known.get(name) is not ring:
                self.write(ring)
        return self.signed(config, complete, now)

    def known(self, config: Config, rings: Mapping[str, Keyring]) -> dict[str, Keyring]:
        """The rings that a configuration needs, if they were made: from `rings` or from the store.

        Raises `PayloadStoreUnusable`.
        """
        found = {name: rings.get(name) or self.read(name) for name in policies(config)}
        return {name: ring for name, ring in found.items() if ring is not None}

    def signed(self, config: Config, rings: Mapping[str, Keyring], now: float) -> PayloadKeys:
        """Rings with the document about them. Raises `PayloadStoreUnusable`."""

        def publish(active: Sequence[tuple[str, RingKey]], issued: float, expires: float) -> bytes:
            found = [(suite(name), key) for name, key in active]
            public = [PublicKey(one.name, key.version, one.public(key.secret), one.variant) for one, key in found]
            return self.identity().signed(public, issued, expires)

        return PayloadKeys(rings, document_of(config, rings, publish, now))

    def _path(self, stem: str) -> Path:
        return self.directory / f"{stem}.sealed"

    def _read(self, stem: str, name: str) -> Any:
        try:
            return json.loads(read_sealed(self._path(stem), Purpose.PAYLOAD_KEYRING.label(name), self.sealer))
        except FileNotFoundError:
            return None
        except SealedFileUnusable as error:
            raise PayloadStoreUnusable(str(error)) from None
        except ValueError:
            raise PayloadStoreUnusable(f'"{self._path(stem)}" holds no JSON') from None

    def _write(self, stem: str, name: str, document: Mapping[str, Any]) -> None:
        if not self.makes:
            return
        try:
            write_sealed(
                self._path(stem), json.dumps(document).encode(), Purpose.PAYLOAD_KEYRING.label(name), self.sealer
            )
        except SealedFileUnusable as error:
            raise PayloadStoreUnusable(str(error)) from None


def _own_key(path: Path, *, makes: bool) -> HeldKey:
    """The key beside the rings; without rings to open it need not be there."""
    if path.exists() or any(path.parent.glob("*.sealed")):
        return load_key(path)
    return create_key(path) if makes else HeldKey(secrets.token_bytes(KEY_BYTES))


def _stem(ring: str) -> str:
    suite = suite_of(ring)
    if suite is not None:
        return f"kem-{suite}"
    return "tickets" if ring == TICKETS else f"ring-{ring}"


def payload_directory(file: ConfigFile, payload: PayloadConfig, sealing: SealingConfig) -> Path:
    """The directory of the rings: that of `[payload]`, or one below that of `[sealing]`."""
    if payload.directory is None:
        return directory_of(file, sealing) / "payload"
    return file.resolve(payload.directory)


def _directory_of(loaded: LoadedConfig) -> Path:
    return payload_directory(loaded.file, loaded.config.payload, loaded.config.sealing)


def payload_keys(
    loaded: LoadedConfig, rings: Mapping[str, Keyring], now: float, vault: Vault | None, *, makes: bool = True
) -> tuple[PayloadKeys, list[Problem]]:
    """The keys for a configuration, with warnings. Touches no file if it needs no key.

    Unless it `makes` what is missing, it writes none. Raises `ConfigError`.
    """
    if not policies(loaded.config):
        return PayloadKeys(), []
    missing = [one for one in suite_problems(loaded) if one.is_error]
    if missing:
        raise ConfigError(missing)
    try:
        store = PayloadStore.open(_directory_of(loaded), vault, makes=makes)
        known = store.known(loaded.config, rings)
        return store.keys(loaded.config, known, now), list(variant_warnings(loaded, known))
    except PayloadStoreUnusable as error:
        raise ConfigError([_problem(loaded.file, error)]) from None


def store_problems(loaded: LoadedConfig, vault: Vault | None) -> list[Problem]:
    """Errors that keep the rings from being read, and warnings about them. Only reads."""
    if not policies(loaded.config):
        return []
    problems = []
    if vault is None:
        found = "a sealing key that lies beside the rings: a copy of the directory has both"
        better = "a [sealing] key, in a token or in a file elsewhere (plexigate hsm init)"
        problems.append(loaded.file.warning(("payload", "directory"), found, better))
    if any(_directory_of(loaded).glob("*.sealed")):
        try:
            store = PayloadStore.open(_directory_of(loaded), vault, makes=False)
            problems += variant_warnings(loaded, store.known(loaded.config, {}))
        except PayloadStoreUnusable as error:
            problems.append(_problem(loaded.file, error))
    return problems


def _problem(file: ConfigFile, error: PayloadStoreUnusable) -> Problem:
    allowed = "sealed rings and a sealing key that this process may read and write; restore them from a backup"
    return file.error(("payload", "directory"), str(error), allowed)
