"""Each key of a ring is tried, and the result has no secret."""

import secrets
from dataclasses import replace

import pytest

from proxy.payload.key_trials import RingKeyTrial, trials
from proxy.payload.keys import liboqs
from proxy.payload.keys.keyring import SECRET_BYTES, Keyring, PayloadKeyState, RingPolicy
from proxy.payload.keys.payload_keys import kem_ring
from proxy.payload.keys.suites import BUILT_IN

POLICY = RingPolicy(60.0, 100, 1)


def fresh(name: str, secret: bytes) -> Keyring:
    return Keyring.fresh(name, secret, 0.0)


def test_each_key_that_decrypts_is_tried() -> None:
    ring = fresh("chat", secrets.token_bytes(SECRET_BYTES))
    for _ in range(2):
        ring = ring.with_pending(secrets.token_bytes(SECRET_BYTES), 1.0).activated(POLICY, 1.0)
    ring = ring.with_pending(secrets.token_bytes(SECRET_BYTES), 2.0)
    assert list(trials(ring)) == [
        RingKeyTrial("chat", 3, "active", None),
        RingKeyTrial("chat", 4, "pending", None),
        RingKeyTrial("chat", 2, "valid", None),
    ]


@pytest.mark.parametrize("name", BUILT_IN)
def test_private_keys_of_suites_are_tried(name: str) -> None:
    assert list(trials(fresh(kem_ring(name), BUILT_IN[name].generate()))) == [
        RingKeyTrial(kem_ring(name), 1, "active", None)
    ]


@pytest.mark.parametrize("name", ["chat", kem_ring("MLKEM768-X25519"), kem_ring("unknown")])
def test_key_that_is_none_is_a_fault_without_its_secret(name: str) -> None:
    (trial,) = trials(fresh(name, b"too short"))
    assert trial.fault is not None
    assert trial.fault.startswith("it does not open its own message: ")
    assert "too short" not in str(trial)


def test_two_keys_with_one_secret_are_told() -> None:
    ring = fresh("chat", secrets.token_bytes(SECRET_BYTES))
    twin = replace(ring.keys[0], version=0, state=PayloadKeyState.VALID)
    assert [one.fault for one in trials(replace(ring, keys=(*ring.keys, twin)))] == [None, None]


def test_suite_without_its_library_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "proxy.payload.key_trials.suite", lambda _: (_ for _ in ()).throw(liboqs.LiboqsUnusable("gone"))
    )
    (trial,) = trials(fresh(kem_ring("X25519-HQC256"), b""))
    assert trial.fault == "gone"
