"""Certificates in a fleet: the leader issues, and all nodes serve by what comes out of it.

Theory of operation. The newest edition of each credential has a name of its own, with its chain and
its key. The leader writes it with its fencing token before any node serves by it, itself included:
what a previous leader writes is refused, and no node serves by it. Before an issuer is asked, the
new key is written below another name, and before an order is used its address is. So the next
leader ends what the last one had begun; without an address it looks for the order at the CA. Both
go in the transaction that writes the edition.

An edition is on the shelf of a node before it serves, and has its number there. So a node serves
without the store, and takes no number that is lower. A leader that has a higher number than the
store (which was restored) writes its own again.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from certs.issuing.internal_ca.authority import InternalAuthority
from certs.issuing.issuer import NotShared
from certs.rotation.due import RenewalReason
from certs.rotation.parts import Parts
from certs.rotation.planning import Key
from certs.rotation.sharing import SharedEdition, SharedKey
from certs.storage.intent import Intent
from proxy.observe.events.event import Tell
from proxy.rotation.fellows import Answer, Wish
from proxy.supervisor.membership.kinds.access import FleetAccess
from proxy.supervisor.membership.kinds.authorities import FleetAuthorities
from proxy.supervisor.membership.kinds.entries import Entries
from proxy.supervisor.membership.kinds.rows import (
    AccountRow,
    BegunRow,
    EditionRow,
    answer_as_json,
    read_answer,
    read_wish,
    wish_as_json,
)
from proxy.supervisor.membership.places import CERTIFICATES, FOUNDED, ROTATIONS, leader_of
from proxy.supervisor.membership.shared_kind import FleetNode, SharedKind

_ANSWER_SECONDS: Final = 600
"""So long an answer to a wish is kept."""
_MISSED_SECONDS: Final = 5.0
"""After so long without a question, this node did not lead in between."""


class SharedCertificates:
    """Implements `proxy.rotation.fellows.Fellows`."""

    def __init__(self, access: FleetAccess, tell: Tell) -> None:
        self._access = access
        self.heard: Callable[[], None] = lambda: None
        """Is called after each change."""
        self._news = asyncio.Event()
        self._editions = _Editions(self)
        self._begun = Entries(ROTATIONS, BegunRow.read)
        self._wishes = Entries("wishes/", read_wish, self.hear)
        self._answers = Entries("answers/", read_answer, self.hear)
        self._turns = Entries("turns/", str)
        self._authorities = FleetAuthorities(access, tell, self.hear)

    @property
    def kinds(self) -> Sequence[SharedKind]:
        own = self._editions, self._begun, self._wishes, self._answers, self._turns
        return *own, *self._authorities.kinds

    def hear(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
        self.heard()

    # -- what rotations ask

    @property
    def may_issue(self) -> bool:
        return self._access.may_issue

    @property
    def is_outside(self) -> bool:
        return self._access.epoch == 0 and FOUNDED in self._access.node.entries

    @property
    def answers(self) -> bool:
        return self._access.answers

    @property
    def why_not(self) -> str:
        """Why this node does not issue, for operators: a clause."""
        one = self._access.node
        if self._access.epoch == 0:
            return "this node has not joined its fleet, and only members of it issue"
        if not self.answers:
            return f"no node of the fleet issues while its store cannot be used: {one.fault}"
        return f"only the node that leads the fleet does this: {leader_of(one.entries) or 'there is none now'}"

    def edition(self, key: Key) -> SharedEdition | None:
        row = self._editions.values.get(_name(key))
        return None if row is None else row.edition

    def is_known_outside(self, key: Key) -> bool:
        """Whether a node knew the key of that edition which was expelled since."""
        row = self._editions.values.get(_name(key))
        return row is not None and row.edition.key.intent.epoch < self._access.epoch

    def sharing(self, key: Key, parts: Parts) -> "FleetSharing":
        """For one rotation by this node, or an offer of what it serves."""
        return FleetSharing(self, self._access, self._begun, key, parts)

    async def share_authorities(self, parts: Parts) -> bool:
        """Take the internal CAs of the fleet or, if this node leads, let the others have them."""
        return await self._authorities.share(parts)

    @asynccontextmanager
    async def turn(self, issuer: str, seconds: float) -> AsyncIterator[bool]:
        """Whether this node may ask an issuer for a key in a token; not while another node does."""
        access = self._access
        own = access.node.name
        has_turn = self._turns.values.get(issuer, own) == own
        try:
            if has_turn:
                lasts = int(seconds) + 60
                await access.keep(self._turns, issuer, own, own, as_leader=False, lasts_seconds=lasts)
        except NotShared:
            has_turn = False
        try:
            yield has_turn
        finally:
            if has_turn:
                with suppress(NotShared):  # then it ends by itself
                    await access.write({self._turns.prefix + issuer: None})

    @property
    def wishes(self) -> Sequence[Wish]:
        return [one for one in self._wishes.values.values() if one.id not in self._answers.values]

    async def wish(self, wish: Wish, seconds: float) -> Answer:
        """Have the node that leads rotate, and wait for a new edition, or for an answer."""
        if not self.answers:
            raise NotShared(self.why_not)
        before = self.edition(wish.key)
        await self._access.write({f"wishes/{wish.id}": wish_as_json(wish)}, lasts_seconds=int(seconds))
        try:
            async with asyncio.timeout(seconds):
                while wish.id not in self._answers.values and self.edition(wish.key) == before:
                    await self._news.wait()
        except TimeoutError:
            raise NotShared(f"no node that leads the fleet has answered within {seconds:g} s") from None
        return self._answers.values.get(wish.id, Answer(is_fulfilled=True))

    async def answer(self, wish: Wish, answer: Answer) -> None:
        contents = {f"answers/{wish.id}": answer_as_json(answer), f"wishes/{wish.id}": None}
        await self._access.write(contents, as_leader=True, lasts_seconds=_ANSWER_SECONDS)

    # -- what a rotation shares, called by its thread

    async def publish(self, key: Key, parts: Parts, shared: SharedKey, chain_pem: bytes) -> Intent:
        """As `Sharing.publish`. Raises `NotShared`, and as `copied`."""
        authority = parts.issuers.get(shared.intent.issuer)
        if isinstance(authority, InternalAuthority):
            await self._authorities.share_one(shared.intent.issuer, authority, parts)
        name = _name(key)
        row = self._editions.values.get(name)
        before = SharedEdition(shared, b"") if row is None else row.edition
        sound_from = before.sound_from
        is_new = shared.intent.edition == 0
        if not is_new and shared.intent.edition < sound_from:
            raise NotShared("its key is compromised, or known to a node that was expelled")
        number = max(0 if row is None else before.number, shared.intent.edition) + 1
        if is_new and _is_sound_from(shared.intent.reason):
            sound_from = number
        epoch = self._access.epoch if is_new else shared.intent.epoch
        intent = replace(shared.intent, edition=number, epoch=epoch)
        wanted = EditionRow(SharedEdition(replace(shared, intent=intent), chain_pem, sound_from))
        contents: dict[str, object | None] = {CERTIFICATES + name: wanted.as_json()}
        if is_new and name in self._begun.values:
            contents[ROTATIONS + name] = None
        # else the next leader would fulfil them once more
        contents.update({f"wishes/{one.id}": None for one in self._wishes.values.values() if one.key == key})
        await self._access.write(contents, as_leader=True)
        await self._access.taken(self._editions, name, wanted)
        return intent


class _Editions(Entries[EditionRow]):
    """The leader is asked for what is due: so it hears that it leads, and in which epoch."""

    def __init__(self, owner: SharedCertificates) -> None:
        super().__init__(CERTIFICATES, EditionRow.read, owner.hear)
        self._owner = owner
        self._asked_at = 0.0
        self._epoch = 0

    def due(self, now: float, epoch: int) -> Mapping[str, object | None]:
        if epoch != self._epoch or now - self._asked_at > _MISSED_SECONDS:
            self._owner.hear()
        self._asked_at = now
        self._epoch = epoch
        return {}

    async def run(self, node: FleetNode) -> None:
        # a node that has not joined takes nothing, but it knows by then whether there is a fleet
        await node.connected.wait()
        self._owner.hear()


class FleetSharing:
    """A `certs.rotation.sharing.Sharing`, and the memory of its order."""

    def __init__(
        self, fleet: SharedCertificates, access: FleetAccess, begun: Entries[BegunRow], key: Key, parts: Parts
    ) -> None:
        self._fleet = fleet
        self._access = access
        self._all = begun
        self._key = key
        self._parts = parts
        self._row: BegunRow | None = None
        self.may_be_lost = False

    def begun(self) -> SharedKey | None:
        """What another leader has begun, unless a node knows that key which was expelled since, or
        who can write into the store has brought back one that has served already.
        """
        row = self._all.values.get(_name(self._key))
        served = self._fleet.edition(self._key)
        if row is None or row.key.intent.epoch < self._access.epoch:
            return None
        if served is not None and served.key.intent.begun_at >= row.key.intent.begun_at:
            return None
        self._row = row
        self.may_be_lost = True
        return row.key

    def begin(self, key: SharedKey) -> None:
        self.may_be_lost = False
        self._keep(BegunRow(replace(key, intent=replace(key.intent, epoch=self._access.epoch))))

    @property
    def order(self) -> "FleetSharing":
        """Keeps the address of the order for this key."""
        return self

    def known(self, directory: str) -> str | None:
        row = self._row
        return row.order if row is not None and row.order and row.directory == directory else None

    def keep(self, directory: str, address: str) -> None:
        assert self._row is not None  # begun before
        self._keep(replace(self._row, directory=directory, order=address))

    def is_of_another_key(self, address: str) -> bool:
        return any(row.order == address and name != _name(self._key) for name, row in self._all.values.items())

    def publish(self, key: SharedKey, chain_pem: bytes) -> Intent:
        return self._access.wait_for(self._fleet.publish(self._key, self._parts, key, chain_pem))

    def end(self) -> None:
        if _name(self._key) in self._all.values:
            self._keep(None)

    def _keep(self, row: BegunRow | None) -> None:
        """Write what was begun; None: it led to nothing. Raises `NotShared`."""
        self._row = row
        name = _name(self._key)
        content = None if row is None else row.as_json()
        self._access.wait_for(self._access.keep(self._all, name, row, content))


class FleetAccounts:
    """A `certs.acme.challenges.proofs.SharedAccounts`."""

    def __init__(self, access: FleetAccess) -> None:
        self._access = access
        self._entries = Entries("accounts/", AccountRow.read, is_kept=True)

    @property
    def kinds(self) -> Sequence[SharedKind]:
        return (self._entries,)

    def load(self, directory: str) -> bytes | None:
        """The newest document that is known here. It says if an expelled node knew its key."""
        row = self._entries.values.get(_account(directory))
        if row is None:
            return None
        if row.epoch < self._access.epoch:
            return json.dumps({**json.loads(row.document), "known_outside": True}).encode()
        return row.document.encode()

    def save(self, directory: str, document: bytes) -> None:
        """Let all nodes have it. Raises `NotShared`."""
        row = AccountRow(document.decode(), self._access.epoch)
        keeping = self._access.keep(self._entries, _account(directory), row, row.as_json(), as_leader=False)
        self._access.wait_for(keeping)


def _name(key: Key) -> str:
    identity, slot = key
    return f"{identity}/{slot}"


def _is_sound_from(reason: str) -> bool:
    return any(one.value == reason and one.needs_a_new_key_at_once for one in RenewalReason)


def _account(directory: str) -> str:
    return hashlib.sha256(directory.encode()).hexdigest()[:16]
