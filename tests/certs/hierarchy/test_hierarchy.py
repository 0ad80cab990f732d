"""The keys together: rotation of a domain, and what must hold after whatever was done."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import IllegalStep, KeyState, KeyTransition, SecretOrigin

NOW = datetime(2026, 5, 4, tzinfo=UTC)
LATER = NOW + timedelta(90)
KEYS = (
    Hierarchy()
    .with_domain("chat", NOW)
    .with_purpose("chat", "tickets", NOW, quota=100)
    .with_purpose("chat", "payload", NOW)
    .with_purpose("chat", "mldsa", NOW, origin=SecretOrigin.WRAPPED)
)


def states(keys: Hierarchy) -> dict[str, str]:
    return {key_id: key.state.value for key_id, key in keys.keys.items()}


def test_a_new_domain() -> None:
    assert states(KEYS) == dict.fromkeys(["chat:1", "chat/tickets:1", "chat/payload:1", "chat/mldsa:1"], "active")
    assert KEYS.active("chat", "tickets").parent == "chat:1"
    assert [one.key_id for one in KEYS.transitions_since(Hierarchy()) if one.step is None] == list(KEYS.keys)


def test_rotation_of_a_domain_takes_its_derived_keys_along() -> None:
    prepared = KEYS.prepared("chat", LATER)
    assert states(prepared) == {
        **states(KEYS), "chat:2": "created", "chat/tickets:2": "created", "chat/payload:2": "created",
    }  # fmt: skip
    assert prepared.active("chat", "tickets").id == "chat/tickets:1"
    rotated = prepared.activated("chat", LATER)
    assert states(rotated) == {
        "chat:1": "retired", "chat/tickets:1": "retired", "chat/payload:1": "retired", "chat/mldsa:1": "active",
        "chat:2": "active", "chat/tickets:2": "active", "chat/payload:2": "active",
    }  # fmt: skip
    assert rotated == KEYS.rotated("chat", LATER)
    assert rotated["chat/tickets:2"].quota == 100
    assert rotated["chat/tickets:2"].parent == "chat:2"
    assert rotated["chat/tickets:1"].retired == LATER
    assert set(rotated.transitions_since(prepared)) == {
        *(Transition(key_id, KeyTransition.RETIRE) for key_id in ("chat:1", "chat/tickets:1", "chat/payload:1")),
        *(Transition(key_id, KeyTransition.ACTIVATE) for key_id in ("chat:2", "chat/tickets:2", "chat/payload:2")),
    }


def test_other_domains_are_left_alone() -> None:
    both = KEYS.with_domain("mail", NOW).with_purpose("mail", "tickets", NOW)
    rotated = both.rotated("chat", LATER)
    assert rotated.active("mail", "tickets") == both.active("mail", "tickets")
    assert rotated.active("mail").version == 1


def test_a_parent_is_destroyed_last() -> None:
    keys = KEYS.rotated("chat", LATER)
    with pytest.raises(
        HierarchyError, match="parent of chat/tickets:1, chat/payload:1, chat/mldsa:1: destroy them first"
    ):
        keys.destroyed("chat:1", LATER)
    keys = keys.destroyed("chat/tickets:1", LATER).destroyed("chat/payload:1", LATER)
    keys = keys.retired("chat/mldsa:1", LATER).destroyed("chat/mldsa:1", LATER)
    assert keys.destroyed("chat:1", LATER)["chat:1"].state is KeyState.DESTROYED


def test_a_parent_is_not_retired_alone() -> None:
    with pytest.raises(HierarchyError, match="rotate chat in its place"):
        KEYS.retired("chat:1", NOW)
    alone = Hierarchy().with_domain("chat", NOW).retired("chat:1", NOW)
    with pytest.raises(HierarchyError, match="no active key for chat"):
        alone.active("chat")


def test_uses_are_counted_for_one_key() -> None:
    assert KEYS.used("chat/tickets:1", 3).used("chat/tickets:1")["chat/tickets:1"].uses == 4


@pytest.mark.parametrize("name", ["", "Chat", "a/b", "a:1", "-a", "a" * 64, "é"])
def test_names(name: str) -> None:
    with pytest.raises(HierarchyError, match="a name has"):
        Hierarchy().with_domain(name, NOW)
    with pytest.raises(HierarchyError, match="a name has"):
        KEYS.with_purpose("chat", name, NOW)


def test_what_cannot_be_done() -> None:
    for refused in (
        lambda: KEYS.with_domain("chat", NOW),
        lambda: KEYS.with_purpose("chat", "tickets", NOW),
        lambda: KEYS.with_purpose("mail", "tickets", NOW),
        lambda: KEYS.with_purpose("chat", "x", NOW, quota=0),
        lambda: KEYS.with_purpose("chat", "x", NOW, origin=SecretOrigin.RANDOM),
        lambda: KEYS.activated("chat", NOW),
        lambda: KEYS.prepared("chat", NOW).prepared("chat", NOW),
        lambda: KEYS.abandoned("chat", NOW),
        lambda: KEYS.prepared("chat", NOW).destroyed("chat/tickets:2", NOW),
        lambda: KEYS.prepared("mail", NOW),
        lambda: KEYS.prepared("chat", NOW).with_purpose("chat", "x", NOW),
        lambda: KEYS.active("chat", "other"),
        lambda: KEYS["chat/other:1"],
    ):
        with pytest.raises(HierarchyError):
            refused()


def test_a_purpose_that_was_retired_stays_so_through_a_rotation() -> None:
    keys = KEYS.retired("chat/payload:1", NOW).rotated("chat", LATER)
    assert [key.id for key in keys.versions("chat", "payload")] == ["chat/payload:1"]


def test_a_purpose_that_ended_while_a_rotation_was_prepared() -> None:
    keys = KEYS.prepared("chat", NOW).retired("chat/payload:1", NOW).activated("chat", LATER)
    assert keys.active("chat", "payload").version == 2


def test_a_rotation_that_was_given_up_is_not_prepared_again_under_the_same_version() -> None:
    given_up = Hierarchy().with_domain("chat", NOW).prepared("chat", NOW).abandoned("chat", NOW)
    assert states(given_up.rotated("chat", LATER)) == {"chat:1": "retired", "chat:2": "destroyed", "chat:3": "active"}


class Life(RuleBasedStateMachine):
    """Anything may be done to two domains in any order; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = Hierarchy()
        self.now = NOW

    domains = st.sampled_from(["chat", "mail"])
    purposes = st.sampled_from(["tickets", "payload"])

    def do(self, change: str, *arguments: object, **options: object) -> None:
        self.now += timedelta(1)
        with suppress(HierarchyError, IllegalStep):
            after = getattr(self.keys, change)(*arguments, now=self.now, **options)
            replayed = len(after.transitions_since(self.keys))
            assert replayed > 0
            self.keys = after

    @rule(domain=domains)
    def new_domain(self, domain: str) -> None:
        self.do("with_domain", domain)

    @rule(domain=domains, purpose=purposes, origin=st.sampled_from([SecretOrigin.DERIVED, SecretOrigin.WRAPPED]))
    def new_purpose(self, domain: str, purpose: str, origin: SecretOrigin) -> None:
        self.do("with_purpose", domain, purpose, origin=origin)

    @rule(domain=domains, half=st.sampled_from(["prepared", "activated", "rotated", "abandoned"]))
    def rotate(self, domain: str, half: str) -> None:
        self.do(half, domain)

    @rule(index=st.integers(0, 30), change=st.sampled_from(["retired", "destroyed"]))
    def end(self, index: int, change: str) -> None:
        if self.keys.keys:
            self.do(change, list(self.keys.keys)[index % len(self.keys.keys)])

    @invariant()
    def one_active_key_for_each_purpose(self) -> None:
        active = [(key.domain, key.purpose) for key in self.keys.keys.values() if key.protects]
        assert len(active) == len(set(active))

    @invariant()
    def versions_count_up(self) -> None:
        for key in self.keys.keys.values():
            versions = [one.version for one in self.keys.versions(key.domain, key.purpose)]
            assert versions == list(range(1, len(versions) + 1))

    @invariant()
    def whatever_opens_has_a_living_parent(self) -> None:
        for key in self.keys.keys.values():
            if key.purpose and key.state is not KeyState.DESTROYED:
                assert self.keys[key.parent].state is not KeyState.DESTROYED
                assert self.keys[key.parent].domain == key.domain

    @invariant()
    def an_active_derived_key_has_an_active_parent(self) -> None:
        for key in self.keys.keys.values():
            if key.protects and key.origin is SecretOrigin.DERIVED:
                assert self.keys[key.parent].protects


TestLife = Life.TestCase


@given(st.integers(1, 8))
def test_many_rotations(times: int) -> None:
    keys = KEYS
    for number in range(times):
        keys = keys.rotated("chat", NOW + timedelta(number))
    assert keys.active("chat", "tickets").version == times + 1
    assert sum(key.opens for key in keys.versions("chat", "tickets")) == times + 1
