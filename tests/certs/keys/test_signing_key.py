"""Kinds of keys."""

import pytest

from certs.keys.signing_key import KeyAlgorithm, KeyFamily, algorithm_of, supported_public_key
from tests.certs.authority import private_key


@pytest.mark.parametrize(
    ("algorithm", "kind", "is_post_quantum"),
    [
        ("ecdsa-p256", "ec", False),
        ("ecdsa-p384", "ec", False),
        ("ecdsa-p521", "ec", False),
        ("rsa-2048", "rsa", False),
        ("ed25519", "ed25519", False),
        ("mldsa-44", "mldsa-44", True),
        ("mldsa-65", "mldsa-65", True),
        ("mldsa-87", "mldsa-87", True),
    ],
)
def test_a_supported_key_has_an_algorithm(algorithm: str, kind: str, is_post_quantum: bool) -> None:  # noqa: FBT001
    key = supported_public_key(private_key(algorithm).public_key())
    assert key is not None
    found = algorithm_of(key)
    assert str(found) == algorithm
    assert found.kind == kind
    assert found.is_post_quantum is is_post_quantum
    assert not found.is_too_weak


@pytest.mark.parametrize("kind", ["ecdsa-k256", "ed448"])
def test_keys_that_tls_does_not_use_are_not_supported(kind: str) -> None:
    assert supported_public_key(private_key(kind).public_key()) is None


def test_small_rsa_is_weak() -> None:
    assert KeyAlgorithm(KeyFamily.RSA, 2_047).is_too_weak
    assert not KeyAlgorithm(KeyFamily.RSA, 2_048).is_too_weak
