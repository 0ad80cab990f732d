"""The rings of payload encryption in a running proxy: counts, rotations, and commands.

Theory of operation. A new key comes in two editions. With the first, all workers can decrypt with
it. With the second, they encrypt with it. So each worker knows the key of every message that it
receives. Each change is on disk before a worker serves by it, so that a proxy that starts again can
decrypt all earlier messages. If a worker cannot prepare an edition, the ring stays as it was.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from certs.audit.entries import Action, Outcome
from config.values.problems import ConfigError
from proxy.net.in_thread import in_thread
from proxy.observe.events.event import Tell
from proxy.observe.events.payload import PayloadKeyRetired, PayloadKeyRevoked, PayloadKeyRotated, PayloadRotationFailed
from proxy.payload.key_document import Identity
from proxy.payload.keys.keyring import Keyring, PayloadKeyState, RingNotChanged, RingPolicy
from proxy.payload.keys.payload_keys import PayloadKeys, policies, suite_of
from proxy.payload.keys.suite_table import new_secret
from proxy.processes.messages.questions import TakeRingUses
from proxy.supervisor.editions.edition import Edition
from proxy.supervisor.editions.served_edition import ServedEdition
from proxy.supervisor.reloads.changeover import Renew
from proxy.supervisor.secrets.payload_store import PayloadStore, PayloadStoreUnusable, payload_directory
from proxy.supervisor.secrets.safe import Safe
from proxy.supervisor.workers.workforce import Workforce

# How often uses are counted and ages are checked. A quota may be exceeded by the uses of that time.
POLL_SECONDS: Final = 5.0
_COLLECT_SECONDS: Final = 2.0
# How often counts are written. A crash loses the counts since then, and so a quota is reached later
# by them.
_POLLS_BETWEEN_WRITES: Final = 12


class NoSuchRing(Exception):
    """The configuration does not have this ring."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name, known)
        self.name = name
        self.known = known

    def __str__(self) -> str:
        return f'there is no payload ring "{self.name}"; there is {", ".join(self.known) or "none"}'


class SharedRings(Protocol):
    """The rings of a fleet. Its methods raise what the fleet refuses with."""

    def shares(self, name: str) -> bool:
        """Whether the fleet has a ring with this name."""

    async def rotate(self, name: str) -> int:
        """Let the next key encrypt soon, and return its version."""

    async def end(self, name: str, version: int, *, is_revoked: bool) -> None:
        """End a key on all nodes. Raises `NoSuchKey`."""

    async def replace_identity(self, identity: Identity) -> None:
        """Sign sessions by it on all nodes. Raises `RingNotChanged`."""


class PayloadRotation:
    """Keeps the rings of the served edition. Those of a fleet it follows."""

    def __init__(  # noqa: PLR0913 - what a ring is made of, kept in, and told to
        self,
        loop: asyncio.AbstractEventLoop,
        served: ServedEdition,
        workforce: Workforce,
        renew: Renew,
        safe: Safe,
        tell: Tell,
        wall_clock: Callable[[], float],
    ) -> None:
        """The work begins with `run`. `safe` seals and has the audit log."""
        self._loop = loop
        self._served = served
        self._workforce = workforce
        self._renew = renew
        self._safe = safe
        self._tell = tell
        self._now = wall_clock
        self._changing = asyncio.Lock()
        self.shared: SharedRings | None = None
        """Of the fleet, in a fleet."""
        self._polls = 0

    async def run(self) -> None:
        """Count and rotate until cancelled."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            if self._rings:
                await self.poll()

    @property
    def _rings(self) -> Mapping[str, Keyring]:
        return self._served.edition.payload.rings

    async def poll(self) -> None:
        """Collect uses, and rotate the rings that are due."""
        await self.count()
        rules = policies(self._served.edition.loaded.config)
        due = [name for name, ring in self._rings.items() if ring.is_due(rules[name], self._now())]
        for name in due:
            if self._is_shared(name):
                continue
            try:
                await self.rotate(name)
            except NoSuchRing:  # a reload removed it while another ring was rotated
                continue
            except (ConfigError, PayloadStoreUnusable) as error:
                self._tell(PayloadRotationFailed(name, str(error)))

    async def count(self) -> None:
        answers = await self._workforce.ask_all(TakeRingUses(), _COLLECT_SECONDS)
        uses: dict[str, dict[int, int]] = {}
        for answer in answers.values():
            for use in answer.uses if answer is not None else ():
                of_ring = uses.setdefault(use.ring, {})
                of_ring[use.version] = of_ring.get(use.version, 0) + use.count
        self._polls += 1
        async with self._workforce.editing:
            edition = self._served.edition
            rings = {name: ring.counted(uses.get(name, {})) for name, ring in edition.payload.rings.items()}
            self._served.edition = edition.with_payload(edition.number, replace(edition.payload, rings=rings))
            if uses and self._polls % _POLLS_BETWEEN_WRITES == 0:
                await in_thread(self._loop, lambda: self._write(self._served.edition, list(uses)))

    # -- what changes a ring

    async def rotate(self, name: str) -> int:
        """Encrypt with a new key. Returns its version. Raises `NoSuchRing`, `ConfigError`.

        In a fleet it is used as soon as all nodes know it.
        """
        if self.shared is not None and self._is_shared(name):
            version = await self.shared.rotate(name)
            self.audit(Action.ROTATE, name, f"key {version} of the fleet")
            return version
        async with self._changing:
            return await self._rotate(name)

    async def _rotate(self, name: str) -> int:
        ring = self.ring(name)
        if all(key.state is not PayloadKeyState.PENDING for key in ring.keys):
            secret = await in_thread(self._loop, lambda: new_secret(name))
            await self._change(name, lambda ring, now: ring.with_pending(secret, now))
        policy = policies(self._served.edition.loaded.config).get(name)
        if policy is None:  # a reload in between removed the ring
            raise NoSuchRing(name, list(self._rings))
        await self._change(name, lambda ring, now: ring.activated(policy, now))
        version = self.ring(name).active.version
        self._told(Action.ROTATE, "rotated", PayloadKeyRotated(name, version))
        return version

    async def retire(self, name: str, version: int) -> None:
        """End a key that is not needed. Raises `NoSuchRing`, `NoSuchKey`, `ConfigError`."""
        if self.shared is not None and self._is_shared(name):
            await self.shared.end(name, version, is_revoked=False)
        else:
            async with self._changing:
                await self._change(name, lambda ring, now: ring.retired(version, now))
        self._told(Action.RETIRE, "retired", PayloadKeyRetired(name, version))

    async def revoke(self, name: str, version: int) -> None:
        """End a key at once, the active one after a rotation. Raises as `retire`."""
        if self.shared is not None and self._is_shared(name):
            await self.shared.end(name, version, is_revoked=True)
        else:
            async with self._changing:
                if self.ring(name).find(version).state is PayloadKeyState.ACTIVE:
                    await self._rotate(name)
                await self._change(name, lambda ring, now: ring.revoked(version, now))
        self._told(Action.DESTROY, "revoked", PayloadKeyRevoked(name, version))

    async def replace_identity(self) -> Identity:
        """Sign sessions by a new identity, which clients have to pin.

        Raises `RingNotChanged`.
        """
        identity = Identity.generate()
        if self.shared is not None:
            await self.shared.replace_identity(identity)
        elif not await self.follow({}, identity):
            raise RingNotChanged("the new identity is not in use: the log says why")
        self._safe.trail.operation(Action.ROTATE, "identity of payload sessions", Outcome.DONE, "")
        return identity

    async def _change(self, name: str, change: Callable[[Keyring, float], Keyring]) -> None:
        now = self._now()

        def changed(edition: Edition, number: int) -> Edition:
            rings = dict(edition.payload.rings)
            if name not in rings:  # a reload in between removed the ring
                raise NoSuchRing(name, list(rings))
            rings[name] = change(rings[name], now)
            keys = PayloadKeys(rings, edition.payload.document)
            if suite_of(name) is not None:
                keys = self.store(edition).signed(edition.loaded.config, rings, now)
            return edition.with_payload(number, keys)

        await self._renew(changed, lambda edition: self._write(edition, [name]))

    def _told(
        self, action: Action, what: str, event: PayloadKeyRotated | PayloadKeyRetired | PayloadKeyRevoked
    ) -> None:
        self.audit(action, event.ring, f"key {event.version} {what}")
        self._tell(event)

    def _is_shared(self, name: str) -> bool:
        return self.shared is not None and self.shared.shares(name)

    # -- what a fleet shares

    @property
    def rings(self) -> Mapping[str, Keyring]:
        return self._rings

    @property
    def policies(self) -> Mapping[str, RingPolicy]:
        """When each ring of the configuration rotates."""
        return policies(self._served.edition.loaded.config)

    async def identity(self) -> Identity | None:
        """The identity that signs sessions; None without sessions, or if it cannot be read."""
        edition = self._served.edition
        if edition.loaded.config.payload.sessions is None:
            return None
        try:
            return await in_thread(self._loop, lambda: self.store(edition).identity())
        except (ConfigError, PayloadStoreUnusable):
            return None  # who asks for the document of keys is told

    async def follow(self, rings: Mapping[str, Keyring], identity: Identity | None) -> bool:
        """Serve by rings of a fleet, and sign by this identity; whether all workers do.

        As in a rotation, all workers decrypt by a key before one of them encrypts by it.
        """
        try:
            async with self._changing:
                learned = {
                    name: _learned(self._rings[name], ring) for name, ring in rings.items() if name in self._rings
                }
                if learned != rings:
                    await self._serve_by(learned, None)
                await self._serve_by(rings, identity)
        except (ConfigError, PayloadStoreUnusable) as error:
            self._tell(PayloadRotationFailed(", ".join(rings), str(error)))
            return False
        return True

    async def _serve_by(self, rings: Mapping[str, Keyring], identity: Identity | None) -> None:
        now = self._now()

        def changed(edition: Edition, number: int) -> Edition:
            known = {name: rings.get(name, ring) for name, ring in edition.payload.rings.items()}
            store = self.store(edition)
            if identity is not None and store.makes:
                store.adopt(identity)
            return edition.with_payload(number, store.signed(edition.loaded.config, known, now))

        await self._renew(changed, lambda edition: self._write(edition, list(rings)))

    # -- what is shown

    def ring(self, name: str) -> Keyring:
        """A ring. Raises `NoSuchRing`."""
        ring = self._rings.get(name)
        if ring is None:
            raise NoSuchRing(name, list(self._rings))
        return ring

    def store(self, edition: Edition) -> PayloadStore:
        """The store of rings. Call it in a thread. Raises `PayloadStoreUnusable`, `ConfigError`."""
        loaded = edition.loaded
        directory = payload_directory(loaded.file, loaded.config.payload, loaded.config.sealing)
        return PayloadStore.open(directory, self._safe.vault(loaded))

    def _write(self, edition: Edition, names: list[str]) -> None:
        store = self.store(edition)
        for name in names:
            ring = edition.payload.rings.get(name)
            if ring is not None:
                store.write(ring)

    def audit(self, action: Action, name: str, detail: str) -> None:
        """Write a step to the audit log."""
        self._safe.trail.operation(action, f"payload ring {name}", Outcome.DONE, detail)


def _learned(own: Keyring, ring: Keyring) -> Keyring:
    """A ring that still encrypts by the key of another one, if it has that."""
    before = next((one for one in ring.readable if one.secret == own.active.secret), None)
    if before is None:
        return ring
    states = {ring.active.version: PayloadKeyState.PENDING, before.version: PayloadKeyState.ACTIVE}
    return replace(ring, keys=tuple(replace(one, state=states.get(one.version, one.state)) for one in ring.keys))
