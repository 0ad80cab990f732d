"""A signature is asked for and checked."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from certs.hsm.errors import CallFailed
from certs.hsm.facts import KeyAddress
from certs.tokens.token_use import TriedKey
from certs.tokens.trial import Trial, trial
from tests.certs.authority import PrivateKey, private_key


def signed(key: PrivateKey, asked: Trial) -> bytes:
    """As a token would."""
    data = asked.call.arguments["data"]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        pair = decode_dss_signature(key.sign(data, ec.ECDSA(Prehashed(SHA256()))))
        return b"".join(number.to_bytes((key.key_size + 7) // 8) for number in pair)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PSS(padding.MGF1(SHA256()), 32), Prehashed(SHA256()))
    assert isinstance(key, mldsa.MLDSA65PrivateKey)
    return key.sign(data)


@pytest.mark.parametrize(
    ("kind", "mechanism", "hash_name"),
    [("ecdsa-p256", "ecdsa", None), ("ecdsa-p384", "ecdsa", None), ("rsa-3072", "rsa-pss", "sha256"),
     ("mldsa-65", "mldsa", None)],
)  # fmt: skip
def test_a_signature_of_that_key_alone_is_good(kind: str, mechanism: str, hash_name: str | None) -> None:
    key, other = private_key(kind), private_key(kind, 1)
    asked = trial(TriedKey(KeyAddress("chat"), key.public_key()))  # type: ignore[arg-type]  # all of these kinds are
    assert (asked.call.arguments["mechanism"], asked.call.arguments["hash_name"]) == (mechanism, hash_name)
    asked.check(signed(key, asked))
    for wrong in (signed(other, asked), b"", b"\x01" * 7):
        with pytest.raises(CallFailed, match="does not fit"):
            asked.check(wrong)


def test_each_trial_signs_something_else() -> None:
    key = TriedKey(KeyAddress("chat"), private_key("ecdsa-p256").public_key())  # type: ignore[arg-type]  # as above
    assert trial(key).call.arguments["data"] != trial(key).call.arguments["data"]
