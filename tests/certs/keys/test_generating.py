"""Software keys, by the names of the configuration."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certs.keys.generating import ALGORITHMS, digest_for, generate, private_pem
from certs.keys.signing_key import KeyAlgorithm, KeyFamily, algorithm_of, supported_public_key
from config.tables.rotation import KEY_ALGORITHMS
from tests.certs.authority import private_key


def test_there_are_exactly_those_that_can_be_configured() -> None:
    assert tuple(ALGORITHMS) == KEY_ALGORITHMS


@pytest.mark.parametrize("name", [one for one in ALGORITHMS if one != "rsa-4096"])
def test_each_kind_can_be_made_and_used(name: str) -> None:
    key = generate(ALGORITHMS[name])
    public = supported_public_key(key.public_key())
    assert public is not None
    assert algorithm_of(public) == ALGORITHMS[name]
    assert private_pem(key).startswith(b"-----BEGIN PRIVATE KEY-----")


def test_small_mldsa_is_made_for_a_sealed_key() -> None:
    public = supported_public_key(generate(KeyAlgorithm(KeyFamily.MLDSA, 44)).public_key())
    assert public is not None
    assert algorithm_of(public) == KeyAlgorithm(KeyFamily.MLDSA, 44)


def test_other_kinds_are_not_made() -> None:
    with pytest.raises(ValueError, match="no keys of ed25519"):
        generate(KeyAlgorithm(KeyFamily.ED25519))


@pytest.mark.parametrize(
    ("kind", "digest"),
    [("ecdsa-p256", "sha256"), ("ecdsa-p384", "sha384"), ("rsa-2048", "sha256"), ("mldsa-65", None), ("ed25519", None)],
)
def test_hashes_are_as_strong_as_the_key(kind: str, digest: str | None) -> None:
    key = private_key(kind)
    found = digest_for(key)
    assert (found and found.name) == digest
    assert isinstance(key, ec.EllipticCurvePrivateKey) == kind.startswith("ecdsa")
