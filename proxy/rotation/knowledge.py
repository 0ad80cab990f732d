"""The rotation's knowledge of each credential of the configuration.

It knows what the configuration wants, what serves, and how often the key has signed.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from certs.keys.home import HomeFailed
from certs.rotation.due import Current, RenewalReason
from certs.rotation.facts import current_of, leaf_of, wanted_of
from certs.rotation.parts import Parts
from certs.rotation.planning import CredentialFacts, Key, RotationStatus
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from certs.tokens.token_use import KeyPlace
from config.tables.issuers import AcmeIssuerConfig
from config.tables.rotation import IssuedCredential
from config.values.pkcs11_uri import parse
from proxy.api.certificates import CertificateRow
from proxy.net.in_thread import in_thread
from proxy.rotation.fellows import Fellows
from proxy.rotation.listing import Row, document
from proxy.rotation.memory.uses import Uses
from proxy.rotation.memory.windows import Windows


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
    is_lost: bool = False
    """Whether its token works, and does not have the key."""
    orders: tuple[datetime, ...] = ()
    losses: tuple[datetime, ...] = ()
    """For `budget_seconds`, if its key is lost and its issuer is a public CA."""
    imposed: RenewalReason | None = None
    """What the fleet wants."""


@dataclass(slots=True)
class KnownCredential:
    asked: IssuedCredential
    names: tuple[str, ...]
    shelf: Shelf
    is_shared: bool = False
    """Whether all nodes of a fleet serve by it."""
    serving: Serving = Serving()

    def facts(self, fellows: Fellows | None) -> CredentialFacts:
        wanted = wanted_of(self.names, self.asked)
        serving = self.serving
        return CredentialFacts(
            wanted=wanted,
            current=serving.current,
            is_unusable=serving.fault is not None,
            is_lost=serving.is_lost,
            orders=serving.orders,
            losses=serving.losses,
            imposed=serving.imposed,
            is_held=fellows is not None and not (fellows.may_issue if self.is_shared else fellows.answers),
        )


class Knowledge:
    """All credentials of the configuration, by identity and slot."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.windows = Windows()
        self.uses = Uses()
        self.fellows: Fellows | None = None
        """The fleet, if this node has one."""
        self.credentials: dict[Key, KnownCredential] = {}
        self._parts: Parts | None = None
        self._missing: frozenset[KeyPlace] = frozenset()

    async def follow(self, parts: Parts | None) -> None:
        self._parts = parts
        found = [] if parts is None else parts.store.of_config(parts.loaded.config)
        self.credentials = {
            (name, shelf.slot): KnownCredential(
                asked,
                parts.loaded.config.identity[name].names,
                shelf,
                is_shared=self.fellows is not None and not asked.key.is_in_token,
            )
            for name, asked, shelf in found
            if parts is not None
        }
        await self.learn()

    async def learn(self) -> None:
        """Read again what serves, by the configuration of now."""
        parts = self._parts
        if parts is None:
            return
        credentials = list(self.credentials.items())
        read = await in_thread(self._loop, lambda: [self._read(parts, key, one) for key, one in credentials])
        for (_, credential), serving in zip(credentials, read, strict=True):
            credential.serving = serving

    def suspect(self, missing: Collection[KeyPlace]) -> bool:
        """Take the keys that are missing in tokens that work; see `learn`. Tells if one is new."""
        before, self._missing = self._missing, frozenset(missing)
        return not before.issuperset(self._missing)

    @property
    def suspects(self) -> bool:
        """Whether a key was missing when its token was last asked."""
        return bool(self._missing)

    @property
    def facts(self) -> dict[Key, CredentialFacts]:
        return {key: one.facts(self.fellows) for key, one in self.credentials.items()}

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

    def _read(self, parts: Parts, key: Key, one: KnownCredential) -> Serving:
        shelf = one.shelf
        try:
            version = shelf.current()
            imposed = self._imposed(key, shelf, version) if one.is_shared else None
            if version is None:
                return Serving(imposed=imposed)
            serial = f"{leaf_of(version).serial_number:x}"
            window = self.windows.of(key, serial)
            uses = self.uses.of(key, version.number)
            is_unrevoked = bool(shelf.unrevoked())
            current = current_of(version, window, uses)
            is_lost = self._is_lost(parts, shelf, version)
            orders, losses = _ordered(parts, key, one) if is_lost else ((), ())
            return Serving(version, current, serial, None, is_unrevoked, is_lost, orders, losses, imposed)
        except (ShelfDamaged, OSError) as error:
            return Serving(fault=str(error))

    def _imposed(self, key: Key, shelf: Shelf, version: StoredVersion | None) -> RenewalReason | None:
        assert self.fellows is not None  # of a shared credential
        edition = self.fellows.edition(key)
        if edition is None:
            return None
        if version is None or version.chain_path.read_bytes() != edition.chain_pem:
            # one that is older than what was here before is a replay, or the store was restored
            newest = max((one.intent.edition for one in shelf.versions()), default=0)
            return RenewalReason.FLEET if edition.number >= newest else None
        return RenewalReason.EXPELLED if self.fellows.is_known_outside(key) else None

    def _is_lost(self, parts: Parts, shelf: Shelf, version: StoredVersion) -> bool:
        """Whether a key that a worker or the parent has missed is really gone.

        A worker may see an old state of its token, so the token is asked once more. One that does
        not answer has lost nothing.
        """
        name = shelf.key_name(version.number, version.spec)
        home = parts.homes.get(version.spec.place)
        if home is None or home.is_software or not self._missing:
            return False
        try:
            kept = version.kept_path.read_bytes()
            address = parse(home.for_workers(name, kept).decode())
            missing = (parse(one.location) for one in self._missing if one.token == home.name)
            is_suspect = any((one.object, one.id) == (address.object, address.id) for one in missing)
            return is_suspect and not home.has(name, kept)
        except HomeFailed:
            return False


def _ordered(parts: Parts, key: Key, known: KnownCredential) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
    """When a public CA has issued certificates for the names of a credential, and when keys of it
    were replaced that were lost: as their versions say, which survive this process.
    """
    issuer = known.asked.issuer
    if not isinstance(parts.loaded.config.issuer[issuer], AcmeIssuerConfig):
        return (), ()
    identity, slot = key
    store = parts.store
    intents = [
        (of, one.intent)
        for of in store.slots(identity)
        for one in store.shelf(identity, of).versions()
        if one.intent.issuer == issuer and set(one.intent.names) == set(known.names)
    ]
    lost = (one for of, one in intents if of == slot and one.reason == RenewalReason.LOST)
    return tuple(one.begun_at for _, one in intents), tuple(one.begun_at for one in lost)
