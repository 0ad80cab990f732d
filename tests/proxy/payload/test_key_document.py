"""The signed list of our keys: read with the pinned identity alone, both signatures, in its time."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxy.payload.key_document import DocumentRefused, Identity, PinnedIdentity, PublicKey
from proxy.payload.sessions import decoded, encoded
from tests.payloads import NOW

IDENTITY, OTHER = Identity.generate(), Identity.generate()
KEYS = (PublicKey("MLKEM768-X25519", 3, b"public"), PublicKey("MLKEM1024-P384", 1, b"other"))
SIGNED = IDENTITY.signed(KEYS, NOW, NOW + 3_600)
PINNED = IDENTITY.pinned


def test_who_has_pinned_the_identity_reads_the_keys() -> None:
    assert PINNED.verified(SIGNED, NOW) == KEYS
    assert PinnedIdentity.from_json(PINNED.as_json()).verified(SIGNED, NOW - 200) == KEYS
    assert Identity.from_json(IDENTITY.as_json()) == IDENTITY


@pytest.mark.parametrize("now", [NOW - 400, NOW + 3_600])
def test_it_has_its_time(now: float) -> None:
    with pytest.raises(DocumentRefused, match="time"):
        PINNED.verified(SIGNED, now)


@pytest.mark.parametrize("half", ["ecdsa", "mldsa"])
def test_one_true_signature_is_not_enough(half: str) -> None:
    ecdsa, mldsa = (OTHER.ecdsa, IDENTITY.mldsa) if half == "ecdsa" else (IDENTITY.ecdsa, OTHER.mldsa)
    forged = Identity(ecdsa, mldsa).signed(KEYS, NOW, NOW + 3_600)
    with pytest.raises(DocumentRefused, match="pinned"):
        PINNED.verified(forged, NOW)


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    outer = json.loads(SIGNED)
    inner = json.loads(decoded(outer["document"]))
    change(inner)
    outer["document"] = encoded(json.dumps(inner).encode())
    return json.dumps(outer).encode()


@pytest.mark.parametrize(
    "signed",
    [
        b"",
        b"[]",
        b"{}",
        b'{"document": 1}',
        changed(lambda inner: inner.update(expires=inner["expires"] + 1)),
        changed(lambda inner: inner["keys"].pop()),
        json.dumps({**json.loads(SIGNED), "signatures": {}}).encode(),
    ],
)
def test_anything_else_is_refused(signed: bytes) -> None:
    with pytest.raises(DocumentRefused):
        PINNED.verified(signed, NOW)


def test_private_halves_are_not_shown() -> None:
    assert repr(IDENTITY) == "Identity()"
