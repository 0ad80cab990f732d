"""What nodes exchange of a credential."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from certs.rotation.sharing import SharedEdition, SharedKey
from certs.storage.intent import Intent

INTENT = Intent("ec-p256@file", "internal", ("a.test", "b.test"), "why", datetime(2026, 1, 2, tzinfo=UTC), 4, 2)


def test_a_key_is_read_as_it_was_written_and_is_not_shown() -> None:
    key = SharedKey(INTENT, b"-----BEGIN PRIVATE KEY-----")
    assert SharedKey.from_json(json.loads(json.dumps(key.as_json()))) == key
    assert "BEGIN" not in repr(key)
    assert "BEGIN" not in repr(SharedEdition(key, b"chain"))


def test_an_edition_has_the_number_of_its_key() -> None:
    assert SharedEdition(SharedKey(replace(INTENT, edition=9), b""), b"").number == 9
