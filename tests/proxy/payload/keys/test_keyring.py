"""A ring through its life: what encrypts, what decrypts, what is remembered, what is gone."""

import pytest

from proxy.payload.keys.keyring import Keyring, NoSuchKey, PayloadKeyState, RingPolicy
from tests.payloads import NOW, POLICY, ring, rotated, secret


def states(of: Keyring) -> list[tuple[int, str]]:
    return [(key.version, key.state.value) for key in of.keys]


def test_pending_key_decrypts_and_does_not_encrypt() -> None:
    pending = ring().with_pending(secret(2), NOW)
    assert states(pending) == [(2, "pending"), (1, "active")]
    assert pending.active.version == 1
    assert [key.version for key in pending.readable] == [1, 2]


def test_another_pending_key_takes_the_place_of_one_that_was_never_used() -> None:
    twice = ring().with_pending(secret(2), NOW).with_pending(secret(3), NOW)
    assert states(twice) == [(3, "pending"), (1, "active")]


def test_activated_key_encrypts_and_what_is_beyond_the_overlap_is_retired() -> None:
    many = ring(4)
    assert states(many) == [(5, "active"), (4, "valid"), (3, "valid"), (2, "retired"), (1, "retired")]
    assert [key.version for key in many.readable] == [5, 4, 3]
    assert [key.version for key in many.ended] == [2, 1]


def test_of_an_ended_key_only_the_half_that_signs_is_kept() -> None:
    many = ring(3)
    assert many.find(1).secret == secret(1)[:16]
    assert many.revoked(1, NOW).find(1).secret == secret(1)[:16]
    kem = Keyring.fresh(":kem:x", bytes(96), NOW).with_pending(bytes(96), NOW).activated(POLICY, NOW)
    assert kem.revoked(1, NOW).find(1).secret == b""


def test_another_variant_starts_the_ring_again_and_retires_what_was_there() -> None:
    again = ring(2).with_pending(secret(9), NOW).restarted(secret(5), NOW + 1, "other")
    assert again.variant == "other"
    assert states(again) == [(5, "active"), (4, "retired"), (3, "retired"), (2, "retired"), (1, "retired")]
    assert again.active.secret == secret(5)


def test_few_ended_keys_are_remembered() -> None:
    many = ring(20)
    assert len(many.ended) == 8
    assert many.ended[0].version == 18


def test_active_key_is_not_ended_by_itself() -> None:
    for end in (Keyring.retired, Keyring.revoked):
        with pytest.raises(NoSuchKey, match='key 1 of ring "chat" is the active one: rotate first'):
            end(ring(), 1, NOW)


def test_key_ends_once_and_revocation_is_the_last_word() -> None:
    retired = ring(1).retired(1, NOW)
    assert states(retired) == [(2, "active"), (1, "retired")]
    with pytest.raises(NoSuchKey, match="is retired already"):
        retired.retired(1, NOW)
    revoked = retired.revoked(1, NOW + 5)
    assert (revoked.find(1).state, revoked.find(1).ended) == (PayloadKeyState.REVOKED, NOW + 5)
    with pytest.raises(NoSuchKey, match="is revoked already"):
        revoked.retired(1, NOW)
    with pytest.raises(NoSuchKey, match="does not exist"):
        revoked.revoked(7, NOW)


def test_rotation_keeps_what_was_revoked() -> None:
    assert states(rotated(ring(1).revoked(1, NOW))) == [(3, "active"), (2, "valid"), (1, "revoked")]


def test_age_and_use_make_it_due() -> None:
    fresh = ring()
    assert not fresh.is_due(POLICY, NOW + 3_599)
    assert fresh.is_due(POLICY, NOW + 3_600)
    assert not fresh.counted({1: 60, 9: 1_000}).is_due(POLICY, NOW + 150)
    used = fresh.counted({1: 60}).counted({1: 40})
    assert used.is_due(POLICY, NOW + 150)
    assert not used.is_due(POLICY, NOW + 149), "nobody hurries it by asking for many answers"
    assert not rotated(fresh.counted({1: 100})).is_due(RingPolicy(1.0, 100, 2), NOW)


def test_it_comes_back_from_json_as_it_was() -> None:
    many = ring(4).counted({5: 7}).revoked(3, NOW)
    assert Keyring.from_json(many.as_json()) == many
    document = many.as_json()
    document["keys"][0]["state"] = "valid"
    with pytest.raises(ValueError, match="exactly one active"):
        Keyring.from_json(document)


def test_nothing_that_is_shown_has_a_secret() -> None:
    many = ring(4)
    assert secret(5).hex() not in str(many.facts())
    assert many.facts()[0] == {"version": 5, "state": "active", "created": NOW, "ended": None, "uses": 0}
    assert r"\x05" not in repr(many)
    assert "secret" not in repr(many)
