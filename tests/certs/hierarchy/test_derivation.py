"""Derived and wrapped keys."""

import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from certs.hierarchy.derivation import WrappedKeyDamaged, derived, unwrap, wrap
from certs.hierarchy.key import ManagedKey, SecretOrigin

SECRET = bytes(range(48))
NOW = datetime(2026, 5, 4, tzinfo=UTC)


def key(domain: str = "chat", purpose: str = "tickets", version: int = 1) -> ManagedKey:
    return ManagedKey(domain, purpose, version, SecretOrigin.DERIVED, "chat:1", NOW)


def test_hkdf_sha_384_by_hand() -> None:
    parts = [b"plexigate hierarchy 1", b"key", b"chat", b"tickets", b"1"]
    info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    extracted = hmac.digest(bytes(48), SECRET, hashlib.sha384)
    expanded = hmac.digest(extracted, info + b"\1", hashlib.sha384)
    assert derived(SECRET, key()) == expanded[:32]
    assert derived(SECRET, key(), 48) == expanded


def test_each_label_has_its_own_key() -> None:
    keys = [key(), key("mail"), key("chatt", "ickets"), key(purpose="payload"), key(version=2), key("cha", "ttickets")]
    secrets = {derived(SECRET, one) for one in keys} | {derived(SECRET[::-1], keys[0])}
    assert len(secrets) == len(keys) + 1


def test_wrapped_for_its_place_alone() -> None:
    wrapped = wrap(SECRET, key(), b"a key from outside", bytes(12))
    assert unwrap(SECRET, key(), wrapped) == b"a key from outside"
    for secret, place, content in (
        (SECRET[::-1], key(), wrapped),
        (SECRET, key(version=2), wrapped),
        (SECRET, key(), wrapped[:-1] + bytes([wrapped[-1] ^ 1])),
        (SECRET, key(), b""),
        (SECRET, key(), bytes(12)),
    ):
        with pytest.raises(WrappedKeyDamaged, match=place.id):
            unwrap(secret, place, content)
