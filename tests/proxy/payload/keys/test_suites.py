"""Every suite: known answers, the same secret on both sides, and no message that was changed."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, padding, rsa

from proxy.payload.keys.suites import BUILT_IN, MessageUnreadable, info_of

VECTORS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("suite_vectors.json").read_text())


@pytest.mark.parametrize("name", BUILT_IN)
class TestSuite:
    def test_known_answer(self, name: str) -> None:
        """Made once: clients that were built against an earlier version continue working."""
        vector = {key: bytes.fromhex(value) for key, value in VECTORS[name].items()}
        suite = BUILT_IN[name]
        assert suite.public(vector["private"]) == vector["public"]
        assert suite.open(vector["private"], vector["message"], vector["info"]) == vector["secret"]

    def test_both_sides_agree_and_nobody_else(self, name: str) -> None:
        suite, private = BUILT_IN[name], bytes.fromhex(VECTORS[name]["private"])
        info = info_of(name, 3)
        message, secret = suite.seal(suite.public(private), info)
        assert suite.open(private, message, info) == secret
        assert len(secret) == 32
        again, other = suite.seal(suite.public(private), info)
        assert (again, other) != (message, secret)
        for place in (0, len(message) // 3, len(message) - 1):
            changed = bytearray(message)
            changed[place] ^= 1
            assert self.opened(name, private, bytes(changed), info) != secret
        assert self.opened(name, private, message, info_of(name, 4)) != secret
        for wrong in (b"", message[:-1], message + b"x"):
            with pytest.raises(MessageUnreadable):
                suite.open(private, wrong, info)

    def opened(self, name: str, private: bytes, message: bytes, info: bytes) -> bytes | None:
        try:
            return BUILT_IN[name].open(private, message, info)
        except MessageUnreadable:
            return None

    def test_what_is_no_public_key_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - of cryptography
            BUILT_IN[name].seal(b"x", b"")


def test_new_keys_can_be_used() -> None:
    for name in ("MLKEM768-X25519", "MLKEM1024-P384", "RSA4096-MLKEM1024"):
        private = BUILT_IN[name].generate()
        message, secret = BUILT_IN[name].seal(BUILT_IN[name].public(private), b"info")
        assert BUILT_IN[name].open(private, message, b"info") == secret


def test_transition_suite_by_hand() -> None:
    """RFC 5869 over both secrets, with the ciphertexts in `info`, from nothing but the
    primitives."""
    private = bytes.fromhex(VECTORS["RSA4096-MLKEM1024"]["private"])
    kem = mlkem.MLKEM1024PrivateKey.from_seed_bytes(private[:64])
    key = serialization.load_der_private_key(private[64:], None)
    assert isinstance(key, rsa.RSAPrivateKey)
    second, ciphertext = kem.public_key().encapsulate()
    first = b"r" * 32
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    message = ciphertext + key.public_key().encrypt(first, oaep)
    extracted = hmac.digest(bytes(32), b"\0\x20" + second + b"\0\x20" + first, "sha256")
    info = b"info\0" + hashlib.sha256(message).digest()
    expected = hmac.digest(extracted, info + b"\x01", "sha256")
    assert BUILT_IN["RSA4096-MLKEM1024"].open(private, message, b"info") == expected


def test_key_of_another_kind_is_no_public_key_of_the_transition_suite() -> None:
    public = bytes.fromhex(VECTORS["RSA4096-MLKEM1024"]["public"])[:1_568]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(serialization.Encoding.DER, form)
    with pytest.raises(ValueError, match="no RSA key"):
        BUILT_IN["RSA4096-MLKEM1024"].seal(public + other, b"")


def test_secret_of_another_length_is_refused() -> None:
    from proxy.payload.keys import suites

    private = bytes.fromhex(VECTORS["MLKEM768-X25519"]["private"])
    suite = BUILT_IN["MLKEM768-X25519"]
    key = suites._Mlkem768X25519()._private(private).public_key()
    with pytest.raises(MessageUnreadable):
        suite.open(private, suites._HPKE_768.encrypt(b"short", key, b""), b"")
