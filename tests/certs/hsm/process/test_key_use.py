"""Keys of a token sign and seal as others understand it."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.hsm.clients import calls
from certs.hsm.clients.calls import Sealed
from certs.hsm.clients.client import TokenProcess
from certs.hsm.errors import CallFailed, KeyMissing
from certs.hsm.facts import KeyAddress
from certs.hsm.key_kinds import KeyKind, SignatureMechanism
from certs.hsm.key_names import TokenKeyName

SEAL = TokenKeyName("seal", KeyKind.AES_256, 1)
KEY = KeyAddress.of(SEAL)


def test_what_is_sealed_in_the_token_is_opened_there(token: TokenProcess) -> None:
    token.perform(calls.generate(SEAL))
    for plaintext in (b"", b"x", bytes(100_000)):
        sealed = token.perform(calls.encrypt(KEY, plaintext, b"for"))
        assert (len(sealed.nonce), len(sealed.ciphertext)) == (12, len(plaintext) + 16)
        assert token.perform(calls.decrypt(KEY, sealed, b"for")) == plaintext


def test_what_was_tampered_with_is_not_opened_and_the_next_is(token: TokenProcess) -> None:
    token.perform(calls.generate(SEAL))
    sealed = token.perform(calls.encrypt(KEY, b"secret", b"for"))
    wrong = Sealed(sealed.nonce, bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:])
    for one, associated in ((wrong, b"for"), (sealed, b"against")):
        with pytest.raises(CallFailed, match="failed to decrypt: CKR_"):
            token.perform(calls.decrypt(KEY, one, associated))
    assert token.perform(calls.decrypt(KEY, sealed, b"for")) == b"secret"


def test_it_is_the_aes_gcm_of_everybody(token: TokenProcess) -> None:
    value = bytes(range(32))
    token.perform(calls.import_secret(SEAL, value))
    sealed = token.perform(calls.encrypt(KEY, b"secret", b"for"))
    assert AESGCM(value).decrypt(sealed.nonce, sealed.ciphertext, b"for") == b"secret"


def test_no_nonce_comes_twice(token: TokenProcess) -> None:
    token.perform(calls.generate(SEAL))
    assert len({token.perform(calls.encrypt(KEY, b"")).nonce for _ in range(50)}) == 50


def test_random_bytes_come_from_the_token(token: TokenProcess) -> None:
    first, second = token.perform(calls.random(32)), token.perform(calls.random(32))
    assert len(first) == len(second) == 32
    assert first != second


def test_a_key_that_may_not_sign_does_not(token: TokenProcess) -> None:
    token.perform(calls.generate(SEAL))
    with pytest.raises(CallFailed):
        token.perform(calls.sign(KEY, SignatureMechanism.ECDSA, bytes(32)))


def test_a_key_that_is_not_there_is_named(token: TokenProcess) -> None:
    with pytest.raises(KeyMissing, match='no key with label "none"'):
        token.perform(calls.sign(KeyAddress("none"), SignatureMechanism.ECDSA, bytes(32)))
