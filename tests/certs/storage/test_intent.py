"""Why a version was begun."""

import json

import pytest

from certs.storage.intent import Intent, IntentDamaged
from tests.certs.authority import NOW

INTENT = Intent("ec-p256@file", "internal", ("chat.test",), "first", NOW)


def test_it_reads_what_it_writes() -> None:
    assert Intent.parse(INTENT.encode()) == INTENT


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"{}",
        json.dumps({**json.loads(INTENT.encode()), "format": 2}).encode(),
        json.dumps({**json.loads(INTENT.encode()), "begun_at": "2026-01-01"}).encode(),
    ],
)
def test_anything_else_is_damaged(content: bytes) -> None:
    with pytest.raises(IntentDamaged, match="not a record of a rotation"):
        Intent.parse(content)
