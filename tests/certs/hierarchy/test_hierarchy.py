"""The keys together: rotation, and what holds after any sequence of changes."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from certs.hierarchy.hierarchy import Hierarchy, HierarchyError, Transition
from certs.hierarchy.key import IllegalStep, KeyTransition

NOW = datetime(2026, 5, 4, tzinfo=UTC)
LATER = NOW + timedelta(90)
KEYS = Hierarchy().with_purpose("tickets", NOW, quota=100).with_purpose("payload", NOW)
FIRST = ("plexigate/tickets:1", "plexigate/payload:1")
SECOND = ("plexigate/tickets:2", "plexigate/payload:2")


def states(keys: Hierarchy) -> dict[str, str]:
    return {key_id: key.state.value for key_id, key in keys.keys.items()}


def test_a_new_hierarchy() -> None:
    assert states(KEYS) == dict.fromkeys(FIRST, "active")
    assert KEYS.active("tickets").version == 1
    assert [one.key_id for one in KEYS.transitions_since(Hierarchy()) if one.step is None] == list(KEYS.keys)


def test_a_rotation_replaces_the_keys_of_its_purposes() -> None:
    rotated = KEYS.rotated(LATER, ("tickets", "payload"))
    assert states(rotated) == {**dict.fromkeys(FIRST, "retired"), **dict.fromkeys(SECOND, "active")}
    assert rotated["plexigate/tickets:2"].quota == 100
    assert rotated["plexigate/tickets:1"].retired == LATER
    assert set(rotated.transitions_since(KEYS)) == {
        *(Transition(key_id, KeyTransition.RETIRE) for key_id in FIRST),
        *(Transition(key_id, step) for key_id in SECOND for step in (None, KeyTransition.ACTIVATE)),
    }
    alone = KEYS.rotated(LATER, ("tickets",))
    assert {one.key_id for one in alone.transitions_since(KEYS)} == {"plexigate/tickets:1", "plexigate/tickets:2"}
    assert alone.retired == (alone["plexigate/tickets:1"],)


def test_keys_are_due_by_themselves() -> None:
    used = KEYS.used("plexigate/tickets:1", 50)
    assert KEYS.due(NOW, timedelta(90)) == frozenset()
    assert used.due(NOW, timedelta(90)) == {"tickets"}
    assert used.rotated(NOW, ("tickets",)).due(LATER - timedelta(1), timedelta(90)) == frozenset()
    assert KEYS.due(LATER, timedelta(90)) == {"tickets", "payload"}


def test_one_is_destroyed_alone() -> None:
    keys = KEYS.rotated(LATER, ("tickets", "payload")).destroyed(LATER, ("plexigate/tickets:1",))
    assert states(keys)["plexigate/tickets:1"] == "destroyed"
    assert states(keys)["plexigate/payload:1"] == "retired"


def test_uses_are_counted_for_one_key() -> None:
    assert KEYS.used("plexigate/tickets:1", 3).used("plexigate/tickets:1")["plexigate/tickets:1"].uses == 4


def test_what_cannot_be_done() -> None:
    for refused in (
        lambda: KEYS.with_purpose("tickets", NOW),
        lambda: Hierarchy().rotated(NOW, ("tickets",)),
        lambda: KEYS.destroyed(NOW, ("plexigate/other:1",)),
        lambda: KEYS.active("other"),
        lambda: KEYS["plexigate/other:1"],
    ):
        with pytest.raises(HierarchyError):
            refused()


class Life(RuleBasedStateMachine):
    """Any change may come in any order; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = Hierarchy()
        self.now = NOW

    def do(self, change: str, **arguments: object) -> None:
        self.now += timedelta(1)
        with suppress(HierarchyError, IllegalStep):
            after = getattr(self.keys, change)(now=self.now, **arguments)
            replayed = len(after.transitions_since(self.keys))
            assert replayed > 0
            self.keys = after

    @rule(purpose=st.sampled_from(["tickets", "payload"]))
    def new_purpose(self, purpose: str) -> None:
        self.do("with_purpose", purpose=purpose)

    @rule(purposes=st.sets(st.sampled_from(["tickets", "payload"]), min_size=1))
    def rotate(self, purposes: set[str]) -> None:
        self.do("rotated", purposes=purposes)

    @rule(index=st.integers(0, 30))
    def end(self, index: int) -> None:
        if self.keys.keys:
            self.do("destroyed", key_ids=(list(self.keys.keys)[index % len(self.keys.keys)],))

    @invariant()
    def one_active_key_for_each_purpose(self) -> None:
        active = [key.purpose for key in self.keys.keys.values() if key.protects]
        assert len(active) == len(set(active))

    @invariant()
    def versions_count_up(self) -> None:
        for key in self.keys.keys.values():
            versions = [one.version for one in self.keys.versions(key.purpose)]
            assert versions == list(range(1, len(versions) + 1))


TestLife = Life.TestCase


@given(st.integers(1, 8))
def test_many_rotations(times: int) -> None:
    keys = KEYS
    for number in range(times):
        keys = keys.rotated(NOW + timedelta(number), ("tickets",))
    assert keys.active("tickets").version == times + 1
    assert sum(key.opens for key in keys.versions("tickets")) == times + 1
