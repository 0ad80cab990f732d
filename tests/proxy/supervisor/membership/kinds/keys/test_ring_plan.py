"""Rings of a fleet by time: what one node encrypts, each other one decrypts, at any time and by any clock of five minutes."""

import pytest

from proxy.payload.keys.keyring import Keyring, PayloadKeyState
from proxy.payload.messages.codec import ANY_AGE, RingCodec
from proxy.supervisor.membership.kinds.keys.ring_plan import NOTICE_SECONDS, PlannedRingKey, RingPlan
from tests.proxy.supervisor.membership.kinds.keys.skewed_rings import (
    HOUR,
    NEXT,
    NOW,
    PLAN,
    POLICY,
    SKEW,
    fresh,
    open_all,
    secret,
)


def states(ring: Keyring) -> dict[int, str]:
    return {key.version: key.state.value for key in ring.keys}


def test_the_next_key_decrypts_before_it_encrypts_and_the_one_before_after_that() -> None:
    assert PLAN.needs_key(NOW)
    assert PLAN.until_change(NOW) is None
    assert not NEXT.needs_key(NOW)
    assert NEXT.until_change(NOW) == POLICY.rotate_seconds
    own = fresh()
    assert states(NEXT.ring(own, POLICY, NOW)) == {2: "pending", 1: "active"}
    assert states(NEXT.ring(own, POLICY, NOW - HOUR)) == {2: "pending", 1: "active"}, "a clock before all of them"
    assert states(NEXT.ring(own, POLICY, NOW + POLICY.rotate_seconds)) == {2: "active", 1: "valid"}


def test_old_keys_end_and_nothing_that_decrypts_is_kept_of_them() -> None:
    plan, own, now = PLAN, fresh(), NOW
    for number in range(2, 20):
        now += POLICY.rotate_seconds
        plan = plan.extended(now, POLICY, secret(number))
        own = plan.ring(own, POLICY, now)
        assert plan.ring(own, POLICY, now) == own, "the same again"
        assert len(own.readable) <= POLICY.overlap + 2
        for key in own.ended:
            assert (key.state, key.secret) == (PayloadKeyState.RETIRED, secret(key.version)[:16])
    assert sum(one.secret == secret(one.version) for one in plan.keys) == POLICY.overlap + 2
    assert len(plan.keys) == POLICY.overlap + 1 + 8 + 1


def test_a_rotation_by_hand_begins_as_soon_as_all_nodes_know_the_key() -> None:
    soon = NEXT.rotated(NOW)
    assert soon.until_change(NOW) == NOTICE_SECONDS >= 2 * SKEW
    assert soon.rotated(NOW + 60) == soon
    late = NEXT.rotated(NOW + POLICY.rotate_seconds - 5)
    assert late == NEXT, "it begins before that anyway"
    assert NEXT.at_once(NOW).active(NOW).version == 2
    after = PLAN.extended(NOW + 30 * POLICY.rotate_seconds, POLICY, secret(2))
    assert after.until_change(NOW + 30 * POLICY.rotate_seconds) == NOTICE_SECONDS


def test_a_key_that_an_operator_ends_decrypts_no_more() -> None:
    own = fresh()
    revoked = NEXT.at_once(NOW).without(1, NOW, is_revoked=True).ring(own, POLICY, NOW)
    assert states(revoked) == {2: "active", 1: "revoked"}
    retired = NEXT.without(2, NOW, is_revoked=False)
    assert states(retired.ring(own, POLICY, NOW)) == {2: "retired", 1: "active"}
    assert retired.needs_key(NOW)


def test_after_an_epoch_another_key_is_next_and_the_old_ones_decrypt_for_their_time() -> None:
    plan = NEXT.renewed(NOW + 5, POLICY, secret(3), 2)
    assert (plan.epoch, plan.until_change(NOW + 5)) == (2, NOTICE_SECONDS)
    assert secret(2) not in {one.secret for one in plan.keys}
    assert states(plan.ring(fresh(), POLICY, NOW + 5 + NOTICE_SECONDS)) == {2: "active", 1: "valid"}
    early = NEXT.renewed(NOW - 5, POLICY, secret(3), 2)
    assert [one.secret for one in early.keys] == [secret(1), secret(3)]


def test_keys_that_a_node_had_before_it_joined_decrypt_for_their_time() -> None:
    """Its versions are those of the fleet, its secrets are not."""
    own = fresh(70).with_pending(secret(71), NOW + 1).activated(POLICY, NOW + 1)
    own = own.with_pending(secret(72), NOW + 2).activated(POLICY, NOW + 2).retired(1, NOW + 3)
    plan = RingPlan.begun(fresh(), 1).extended(NOW, POLICY, secret(2))
    joined = plan.ring(own, POLICY, NOW + 5)
    assert {key.secret for key in joined.readable} == {secret(1), secret(2), secret(71), secret(72)}
    assert len({key.version for key in joined.keys}) == len(joined.keys)
    assert joined.active.secret == secret(1)
    assert plan.ring(joined, POLICY, NOW + 5) == joined
    codec = RingCodec(joined)
    assert codec.open(RingCodec(own).seal(b"old", NOW), ANY_AGE, NOW, 3).plain == b"old"
    later = plan.ring(joined, POLICY, NOW + 4 * POLICY.rotate_seconds)
    assert {key.secret for key in later.readable} == {secret(1), secret(2)}
    other = Keyring("chat", fresh(70).keys, "v")
    kept = RingPlan((PlannedRingKey(9, NOW, secret(9)),), 1, "v").ring(
        other.restarted(secret(8), NOW, "v"), POLICY, NOW
    )
    assert states(kept) == {9: "active", 2: "valid", 1: "retired"}


def test_the_uses_of_a_key_are_counted_on() -> None:
    ring = NEXT.ring(fresh().counted({1: 7}), POLICY, NOW)
    assert ring.find(1).uses == 7
    assert NEXT.ring(ring.counted({1: 1}), POLICY, NOW + POLICY.rotate_seconds).find(1).uses == 8


def test_it_is_written_and_read_and_nothing_else_is() -> None:
    plan = NEXT.without(1, NOW, is_revoked=True)
    assert RingPlan.from_json(plan.as_json()) == plan
    document = NEXT.as_json()
    first, second = document["keys"]
    spoilt: list[list[object]] = [
        [],
        [second, first],
        [first, first],
        [{**first, "ended": 1.0}],
        [{**first, "secret": "x"}],
        [{}],
    ]
    for keys in spoilt:
        with pytest.raises((KeyError, TypeError, ValueError)):
            RingPlan.from_json({**document, "keys": keys})
    assert repr(secret(1)) not in repr(PLAN)


@pytest.mark.at_length
def test_three_nodes_with_skewed_clocks_open_all_that_each_other_seals() -> None:
    open_all(3_000)
