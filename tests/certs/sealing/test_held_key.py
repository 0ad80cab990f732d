"""A key in memory seals, and is not shown."""

import pytest

from certs.sealing.errors import Tampered
from certs.sealing.held_key import HeldKey, key_id_of

SECRET = bytes(range(32))


def test_it_opens_what_it_has_sealed_and_nothing_else() -> None:
    key = HeldKey(SECRET)
    nonce, sealed = key.encrypt(b"plain", b"associated")
    assert key.decrypt(nonce, sealed, b"associated") == b"plain"
    altered = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for other, found, associated in (
        (HeldKey(bytes(32)), sealed, b"associated"),
        (key, altered, b"associated"),
        (key, sealed, b"other"),
    ):
        with pytest.raises(Tampered):
            other.decrypt(nonce, found, associated)
    assert key.encrypt(b"plain", b"associated")[0] != nonce


def test_its_id_tells_it_from_others_and_nothing_more() -> None:
    assert HeldKey(SECRET).key_id == key_id_of(SECRET) != key_id_of(bytes(32))
    assert len(key_id_of(SECRET)) == 16
    assert HeldKey(SECRET, b"name").key_id == b"name"
    assert SECRET.hex() not in repr(HeldKey(SECRET))
    assert str(SECRET) not in repr(HeldKey(SECRET))
