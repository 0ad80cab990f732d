"""The rotation's knowledge of each credential of the configuration.

It knows what the configuration wants, what serves, and how often the key has signed.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from certs.rotation.due import Current
from certs.rotation.facts import current_of, leaf_of, wanted_of
from certs.rotation.parts import Parts
from certs.rotation.planning import CredentialFacts, Key, RotationStatus
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from config.tables.rotation import IssuedCredential
from proxy.api.certificates import CertificateRow
from proxy.net.in_thread import in_thread
from proxy.rotation.listing import Row, document
from proxy.rotation.uses import Uses
from proxy.rotation.windows import Windows


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves for one credential, or the `fault` why it cannot be read.

    `serial` is in hexadecimal.
    """

    version: StoredVersion | None = None
    current: Current | None = None
    serial: str | None = None
    fault: str | None = None
    is_unrevoked: bool = False
    """Whether clients still trust the certificate of a compromised version."""


@dataclass(slots=True)
class KnownCredential:
    asked: IssuedCredential
    names: tuple[str, ...]
    shelf: Shelf
    serving: Serving = Serving()

    @property
    def facts(self) -> CredentialFacts:
        wanted = wanted_of(self.names, self.asked)
        return CredentialFacts(wanted, self.serving.current, is_unusable=self.serving.fault is not None)


class Knowledge:
    """All credentials of the configuration, by identity and slot."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.windows = Windows()
        self.uses = Uses()
        self.credentials: dict[Key, KnownCredential] = {}

    async def follow(self, parts: Parts | None) -> None:
        found = [] if parts is None else parts.store.of_config(parts.loaded.config)
        self.credentials = {
            (name, shelf.slot): KnownCredential(asked, parts.loaded.config.identity[name].names, shelf)
            for name, asked, shelf in found
            if parts is not None
        }
        await self.learn()

    async def learn(self) -> None:
        """Read again what serves."""
        credentials = list(self.credentials.items())
        read = await in_thread(self._loop, lambda: [self._read(key, one.shelf) for key, one in credentials])
        for (_, credential), serving in zip(credentials, read, strict=True):
            credential.serving = serving

    @property
    def facts(self) -> dict[Key, CredentialFacts]:
        return {key: one.facts for key, one in self.credentials.items()}

    @property
    def missing(self) -> list[Key]:
        """The credentials that no version serves for."""
        return [key for key, one in self.credentials.items() if one.serving.version is None]

    @property
    def serials(self) -> dict[Key, str]:
        """The serial numbers of the certificates that serve."""
        return {key: one.serving.serial for key, one in self.credentials.items() if one.serving.serial is not None}

    @property
    def limits_uses(self) -> bool:
        """Whether the configuration limits how often a key may sign."""
        return any(one.asked.settings.rotate_key_after_uses is not None for one in self.credentials.values())

    async def count(self, totals: Mapping[str, int]) -> bool:
        """Take the signatures by identity since the start. Tells whether there were new ones."""
        before = self.uses.as_json()
        versions = {key: one.serving.version for key, one in self.credentials.items()}
        self.uses.counted(totals, {key: one.number for key, one in versions.items() if one is not None})
        if self.uses.as_json() == before:
            return False
        await self.learn()
        return True

    def keys(self, identity: str, slot: str | None) -> list[Key]:
        """The credentials of an identity, or one of them."""
        return [key for key in sorted(self.credentials) if key[0] == identity and slot in (None, key[1])]

    def listing(
        self,
        standings: Mapping[Key, RotationStatus],
        errors: Mapping[Key, str],
        running: Collection[Key],
        now: datetime,
    ) -> list[CertificateRow]:
        return [
            document(
                Row(
                    key,
                    wanted_of(one.names, one.asked),
                    one.serving.current,
                    standings.get(key),
                    None if one.serving.version is None else one.serving.version.number,
                    one.serving.serial,
                    errors.get(key) or one.serving.fault,
                    key in running,
                ),
                now,
            )
            for key, one in sorted(self.credentials.items())
        ]

    def _read(self, key: Key, shelf: Shelf) -> Serving:
        try:
            version = shelf.current()
            if version is None:
                return Serving()
            serial = f"{leaf_of(version).serial_number:x}"
            window = self.windows.of(key, serial)
            uses = self.uses.of(key, version.number)
            is_unrevoked = bool(shelf.unrevoked())
            return Serving(version, current_of(version, window, uses), serial, is_unrevoked=is_unrevoked)
        except (ShelfDamaged, OSError) as error:
            return Serving(fault=str(error))
