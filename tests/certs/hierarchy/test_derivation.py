"""Derived keys."""

import hashlib
import hmac
from datetime import UTC, datetime

from certs.hierarchy.derivation import derived
from certs.hierarchy.key import ManagedKey

SECRET = bytes(range(48))
NOW = datetime(2026, 5, 4, tzinfo=UTC)


def key(purpose: str = "tickets", version: int = 1) -> ManagedKey:
    return ManagedKey(purpose, version, "plexigate:1", NOW)


def test_hkdf_sha_384_by_hand() -> None:
    parts = [b"plexigate hierarchy 1", b"key", b"plexigate", b"tickets", b"1"]
    info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    extracted = hmac.digest(bytes(48), SECRET, hashlib.sha384)
    assert derived(SECRET, key()) == hmac.digest(extracted, info + b"\1", hashlib.sha384)[:32]


def test_each_label_has_its_own_key() -> None:
    keys = [key(), key("ticket"), key("payload"), key(version=2), key("tickets1")]
    secrets = {derived(SECRET, one) for one in keys} | {derived(SECRET[::-1], keys[0])}
    assert len(secrets) == len(keys) + 1
