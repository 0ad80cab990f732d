"""The hierarchy as JSON."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from certs.hierarchy.derivation import derived
from certs.hierarchy.document import Document, DocumentUnreadable, SealingKeyRecord
from certs.hierarchy.hierarchy import Hierarchy
from tests.certs.hierarchy.test_hierarchy import KEYS, NOW

ROTATED = (
    KEYS.used("plexigate/tickets:1", 5)
    .rotated(NOW + timedelta(1), ("tickets", "payload"))
    .destroyed(NOW, ("plexigate/tickets:1",))
)
SECRETS = {key.id: bytes(range(number, number + 32)) for number, key in enumerate(ROTATED.keys.values()) if key.opens}
SEALING_KEYS = (
    SealingKeyRecord(b"new", "pkcs11:token=plexi;object=sealing.aes-256.v2", NOW),
    SealingKeyRecord(b"old", "sealing.key", None, NOW + timedelta(30)),
)
DOCUMENT = Document(ROTATED, SECRETS, SEALING_KEYS)
FIRST_DOCUMENT = {
    "version": 1,
    "keys": [
        {
            **dict.fromkeys(("quota", "retired", "destroyed")),
            "domain": "plexigate",
            "purpose": purpose,
            "version": version,
            "uses": 3,
            "state": state,
            "origin": "derived" if purpose else "random",
            "parent": f"plexigate:{version}" if purpose else "",
            "created": NOW.isoformat(),
            "activated": NOW.isoformat(),
        }
        for version, state in enumerate(("destroyed", "retired", "active"), 1)
        for purpose in ("", "tickets", "payload")
    ],
    "secrets": {f"plexigate:{version}": base64.b64encode(bytes([version]) * 48).decode() for version in (2, 3)},
}
"""As the versions before wrote it."""


def test_what_is_written_is_read() -> None:
    assert Document.parse(DOCUMENT.encode()) == DOCUMENT
    assert Document.parse(Document().encode()) == Document(Hierarchy(), {})


def test_secrets_are_not_shown() -> None:
    assert "secrets" not in repr(DOCUMENT)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"version":1}',
        b'{"version":1,"keys":[{}],"secrets":{}}',
        b'{"version":1,"keys":[],"secrets":[]}',
    ],
)
def test_what_is_no_hierarchy(content: bytes) -> None:
    with pytest.raises(DocumentUnreadable, match="it is not a key hierarchy"):
        Document.parse(content)


def test_damaged_parts() -> None:
    for name, value in (
        ("state", "lost"),
        ("created", "yesterday"),
        ("version", "x"),
    ):
        document = json.loads(DOCUMENT.encode())
        document["keys"][0][name] = value
        with pytest.raises(DocumentUnreadable):
            Document.parse(json.dumps(document).encode())
    with pytest.raises(DocumentUnreadable):
        Document.parse(DOCUMENT.encode().replace(b'"plexigate/tickets:2": "A', b'"plexigate/tickets:2": "\\u00e9'))
    for lost in (Document(KEYS), Document(ROTATED, dict(list(SECRETS.items())[1:]))):
        with pytest.raises(DocumentUnreadable, match=r"the secret of key plexigate/.* is missing"):
            Document.parse(lost.encode())


def test_a_document_of_the_first_version_has_the_same_keys() -> None:
    read = Document.parse(json.dumps(FIRST_DOCUMENT).encode())
    assert read.secrets == {
        f"plexigate/{purpose}:{version}": derived(bytes([version]) * 48, purpose, version)
        for version in (2, 3)
        for purpose in ("tickets", "payload")
    }
    assert [(key.id, key.state.value) for key in read.hierarchy.versions("tickets")] == [
        ("plexigate/tickets:1", "destroyed"),
        ("plexigate/tickets:2", "retired"),
        ("plexigate/tickets:3", "active"),
    ]
    assert set(read.hierarchy.keys) == {f"plexigate/{name}:{n}" for name in ("tickets", "payload") for n in (1, 2, 3)}
    assert read.sealing_keys == ()
    assert Document.parse(read.encode()) == read
    lost: dict[str, Any] = {**FIRST_DOCUMENT, "secrets": {}}
    with pytest.raises(DocumentUnreadable, match="the secret of key plexigate/tickets:2 is missing"):
        Document.parse(json.dumps(lost).encode())


def test_every_sealing_key_that_the_file_has_had_is_remembered() -> None:
    first, second, third = (SealingKeyRecord(bytes([n]) * 16, f"{n}.key", NOW) for n in range(3))
    document = Document(sealing_keys=(first,)).sealed_by(second, first).sealed_by(third, second).sealed_by(third)
    assert (document.sealing_keys, set(document.ended)) == ((third,), {first.id, second.id})
    assert Document.parse(document.encode()) == document
    assert set(document.had) == {first.id, second.id, third.id}


def test_another_version() -> None:
    with pytest.raises(DocumentUnreadable, match="it is of version 3"):
        Document.parse(DOCUMENT.encode().replace(b'"version": 2', b'"version": 3', 1))
