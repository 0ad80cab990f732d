"""Rings in a running proxy: every change in its order, on disk first, and never by halves."""

import asyncio
from dataclasses import dataclass, replace
from typing import Any

import pytest

from certs.audit.entries import Action, Outcome
from config.tables.payload import PayloadConfig
from config.values.problems import ConfigError
from proxy.payload.key_document import DocumentRefused, Identity
from proxy.payload.keys.keyring import Keyring, NoSuchKey, PayloadKeyState, RingNotChanged
from proxy.payload.keys.payload_keys import TICKETS, PayloadKeys, kem_ring
from proxy.supervisor.membership.kinds.keys.ring_plan import PlannedRingKey, RingPlan
from proxy.supervisor.reloads import payload_rotation
from proxy.supervisor.reloads.payload_rotation import NoSuchRing, PayloadRotation
from tests.configurations import Site
from tests.fakes_payload import FakeParent, sealed_edition

KEM = kem_ring("MLKEM768-X25519")


@dataclass
class Case:
    parent: FakeParent
    rotation: PayloadRotation
    now: float
    audited: list[tuple[object, ...]]
    """What went into the audit log."""

    def ring(self, name: str = "chat") -> Keyring:
        return self.rotation.ring(name)

    def on_disk(self, name: str = "chat") -> Keyring | None:
        return self.parent.on_disk.read(name)

    def states(self, name: str = "chat") -> list[tuple[int, str]]:
        return [(key.version, key.state.value) for key in self.ring(name).keys]


@pytest.fixture
async def case(site: Site, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    parent = FakeParent(sealed_edition(site, f"rings-{request.node.name[5:30]}".replace("[", "-").replace("]", "")))
    now = parent.edition.payload.rings["chat"].active.created
    made = Case(parent, parent.rotation(lambda: made.now), now, [])
    monkeypatch.setattr(parent.safe.trail, "operation", lambda *operation: made.audited.append(operation))
    return made


async def test_workers_read_a_key_before_one_of_them_uses_it(case: Case) -> None:
    assert await case.rotation.rotate("chat") == 2
    first, second = (keys.rings["chat"] for keys in case.parent.brought)
    assert [key.state for key in first.keys] == [PayloadKeyState.PENDING, PayloadKeyState.ACTIVE]
    assert [key.state for key in second.keys] == [PayloadKeyState.ACTIVE, PayloadKeyState.VALID]
    assert case.on_disk() == second
    assert case.parent.told == [{"event": "payload_key_rotated", "ring": "chat", "version": 2}]
    assert case.audited == [(Action.ROTATE, "payload ring chat", Outcome.DONE, "key 2 rotated")]


async def test_rotation_that_stopped_half_way_goes_on(case: Case) -> None:
    case.parent.good_for = 1
    with pytest.raises(ConfigError):
        await case.rotation.rotate("chat")
    assert case.states() == [(2, "pending"), (1, "active")]
    case.parent.good_for = None
    assert await case.rotation.rotate("chat") == 2


async def test_age_and_use_rotate_what_is_due(case: Case) -> None:
    await case.rotation.poll()
    assert case.parent.brought == []
    case.parent.workers.uses = [("chat", 1, 30), ("gone", 1, 5)]
    await case.rotation.poll()
    assert (case.ring().active.version, case.ring().active.uses) == (1, 60)
    case.parent.workers.uses = [("chat", 1, 20)]
    await case.rotation.poll()
    assert case.states() == [(1, "active")]
    case.now += 3_600
    await case.rotation.poll()
    assert case.states() == [(2, "active"), (1, "valid")]
    assert case.ring().find(1).uses == 100
    assert case.states(TICKETS) == [(1, "active")]
    case.now += 7_200
    await case.rotation.poll()
    assert case.states() == [(3, "active"), (2, "valid"), (1, "retired")]
    assert case.states(KEM) == [(2, "active"), (1, "valid")]


async def test_counts_are_written_now_and_then(case: Case) -> None:
    for _ in range(12):
        case.parent.workers.uses = [("chat", 1, 1)]
        await case.rotation.count()
    stored = case.on_disk()
    assert stored is not None
    assert stored.active.uses == 24


async def test_rotation_that_fails_is_told_and_tried_again(case: Case) -> None:
    case.parent.good_for = 0
    case.now += 3_600
    await case.rotation.poll()
    assert case.states() == [(1, "active")]
    assert [event["event"] for event in case.parent.told] == ["payload_rotation_failed"]
    case.parent.good_for = None
    await case.rotation.poll()
    assert case.states() == [(2, "active"), (1, "valid")]


async def test_ring_that_a_reload_removes_meanwhile_ends_no_rotation(case: Case) -> None:
    case.now += 7_200
    renew = case.rotation._renew

    async def renew_and_reload(*work: Any) -> None:
        await renew(*work)
        rings = {name: ring for name, ring in case.parent.edition.payload.rings.items() if name != TICKETS}
        case.parent.edition = case.parent.edition.with_payload(1, PayloadKeys(rings))

    case.rotation._renew = renew_and_reload
    await case.rotation.poll()
    assert case.ring().active.version == 2
    assert case.ring(KEM).active.version == 2
    with pytest.raises(NoSuchRing):
        case.ring(TICKETS)


async def test_active_key_is_replaced_before_it_is_revoked(case: Case) -> None:
    await case.rotation.revoke("chat", 1)
    assert case.states() == [(2, "active"), (1, "revoked")]
    assert case.on_disk() == case.ring()
    with pytest.raises(NoSuchKey):
        await case.rotation.retire("chat", 2)
    await case.rotation.rotate("chat")
    await case.rotation.retire("chat", 2)
    assert case.states() == [(3, "active"), (2, "retired"), (1, "revoked")]
    told = [event["event"] for event in case.parent.told]
    assert told == ["payload_key_rotated", "payload_key_revoked", "payload_key_rotated", "payload_key_retired"]
    assert [one[0] for one in case.audited] == [Action.ROTATE, Action.DESTROY, Action.ROTATE, Action.RETIRE]


async def test_clients_are_told_of_a_new_kem_key_when_every_worker_has_it(case: Case) -> None:
    before = case.parent.edition.payload.document
    await case.rotation.rotate(KEM)
    pinned = case.parent.on_disk.identity().pinned
    first, second = (pinned.verified(keys.document, case.now) for keys in case.parent.brought)
    assert first == pinned.verified(before, case.now)
    assert [(key.suite, key.version) for key in second] == [("MLKEM768-X25519", 2)]


async def test_ring_that_is_not_there(case: Case) -> None:
    with pytest.raises(NoSuchRing, match='no payload ring "other"; there is chat'):
        await case.rotation.rotate("other")
    with pytest.raises(NoSuchRing):
        await case.rotation.retire("other", 1)
    assert str(NoSuchRing("x", [])) == 'there is no payload ring "x"; there is none'


async def test_it_looks_regularly(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payload_rotation, "POLL_SECONDS", 0.0)
    case.now += 3_600
    running = asyncio.ensure_future(case.rotation.run())  # noqa: TID251 - ended below
    while not case.parent.told:
        await asyncio.sleep(0)
        assert not running.done()
    running.cancel()
    assert case.parent.told[0]["event"] == "payload_key_rotated"


class Fleet:
    """Shares the ring "chat" alone, and remembers what is ordered."""

    def __init__(self) -> None:
        self.orders: list[tuple[object, ...]] = []

    def shares(self, name: str) -> bool:
        return name == "chat"

    async def rotate(self, name: str) -> int:
        """Order it."""
        self.orders.append(("rotate", name))
        return 2

    async def end(self, name: str, version: int, *, is_revoked: bool) -> None:
        """Order it."""
        self.orders.append(("end", name, version, is_revoked))

    async def replace_identity(self, identity: Identity) -> None:
        """Order it."""
        self.orders.append(("identity", identity))


async def test_rings_of_a_fleet_are_changed_by_the_fleet_alone(case: Case) -> None:
    case.rotation.shared = fleet = Fleet()
    assert await case.rotation.rotate("chat") == 2
    await case.rotation.retire("chat", 1)
    await case.rotation.revoke("chat", 2)
    assert fleet.orders == [("rotate", "chat"), ("end", "chat", 1, False), ("end", "chat", 2, True)]
    case.now += 100 * 3_600.0
    await case.rotation.poll()
    assert case.states() == [(1, "active")], "it is due, and the fleet rotates it"
    assert case.ring(TICKETS).active.version == 2
    assert [one[0] for one in case.audited][:3] == [Action.ROTATE, Action.RETIRE, Action.DESTROY]
    own = await case.rotation.identity()
    identity = await case.rotation.replace_identity()
    assert fleet.orders[-1] == ("identity", identity)
    assert await case.rotation.identity() == own, "until the fleet has it"
    assert case.audited[-1][:2] == (Action.ROTATE, "identity of payload sessions")


async def test_another_identity_signs_the_keys_of_sessions_and_old_pins_are_of_no_use(case: Case) -> None:
    before = await case.rotation.identity()
    assert before is not None
    identity = await case.rotation.replace_identity()
    assert await case.rotation.identity() == identity != before
    document = case.parent.edition.payload.document
    assert identity.pinned.verified(document, case.now)
    with pytest.raises(DocumentRefused):
        before.pinned.verified(document, case.now)
    case.parent.good_for = 0
    with pytest.raises(RingNotChanged, match="the log says why"):
        await case.rotation.replace_identity()


async def test_keys_of_a_fleet_decrypt_in_all_workers_before_one_encrypts_and_are_on_disk(case: Case) -> None:
    own = case.ring().active
    plan = RingPlan((PlannedRingKey(1, case.now - 5, b"f" * 32), PlannedRingKey(2, case.now + 9, b"g" * 32)), 1, "")
    ring = plan.ring(case.ring(), case.rotation.policies["chat"], case.now)
    assert await case.rotation.follow({"chat": ring}, None)
    first, second = (keys.rings["chat"] for keys in case.parent.brought)
    assert first.active.secret == own.secret
    assert {key.secret for key in first.readable} == {own.secret, b"f" * 32, b"g" * 32}
    assert second == ring == case.on_disk() == case.rotation.rings["chat"]
    assert second.active.secret == b"f" * 32
    revoked = plan.without(1, case.now, is_revoked=True).at_once(case.now)
    later = revoked.ring(case.ring(), case.rotation.policies["chat"], case.now)
    assert await case.rotation.follow({"chat": later}, None)
    assert len(case.parent.brought) == 3, "nothing has to be learned first"
    case.parent.good_for = 0
    assert not await case.rotation.follow({"chat": ring}, None)
    assert case.parent.told[-1]["event"] == "payload_rotation_failed"


async def test_the_key_document_of_one_node_holds_on_another_one(case: Case, site: Site) -> None:
    other = FakeParent(sealed_edition(site, f"other-of-{case.now:.0f}"))
    there = other.rotation(lambda: case.now)
    identity = await case.rotation.identity()
    assert identity is not None
    assert await there.identity() != identity
    rings = {
        name: RingPlan.begun(case.ring(name), 1).ring(there.ring(name), there.policies[name], case.now)
        for name in (KEM, TICKETS)
    }
    assert await there.follow(rings, identity)
    assert await there.identity() == identity
    mine = identity.pinned.verified(case.parent.edition.payload.document, case.now)
    assert identity.pinned.verified(other.edition.payload.document, case.now) == mine
    for name in (KEM, TICKETS):
        assert there.ring(name).active.secret == case.ring(name).active.secret
        assert there.ring(name).active.version == case.ring(name).active.version
    bare = other.edition.loaded.config.model_copy(update={"payload": PayloadConfig()})
    other.edition = replace(other.edition, loaded=replace(other.edition.loaded, config=bare))
    assert await there.identity() is None
