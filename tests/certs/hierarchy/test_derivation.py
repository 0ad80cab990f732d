"""Derived keys."""

import hashlib
import hmac

from certs.hierarchy.derivation import derived

SECRET = bytes(range(48))


def test_hkdf_sha_384_by_hand() -> None:
    parts = [b"plexigate hierarchy 1", b"key", b"plexigate", b"tickets", b"1"]
    info = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    extracted = hmac.digest(bytes(48), SECRET, hashlib.sha384)
    assert derived(SECRET, "tickets", 1) == hmac.digest(extracted, info + b"\1", hashlib.sha384)[:32]


def test_each_label_has_its_own_key() -> None:
    keys = [("tickets", 1), ("ticket", 1), ("payload", 1), ("tickets", 2), ("tickets1", 1)]
    secrets = {derived(SECRET, *one) for one in keys} | {derived(SECRET[::-1], *keys[0])}
    assert len(secrets) == len(keys) + 1
