"""The hierarchy as JSON."""

import json
from datetime import timedelta

import pytest

from certs.hierarchy.document import Document, DocumentUnreadable
from certs.hierarchy.hierarchy import Hierarchy
from tests.certs.hierarchy.test_hierarchy import KEYS, NOW

ROTATED = KEYS.used("plexigate/tickets:1", 5).rotated(NOW + timedelta(1)).destroyed("plexigate/tickets:1", NOW)
DOCUMENT = Document(ROTATED, {"plexigate:1": bytes(48), "plexigate:2": bytes(range(48))})


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
        ("origin", "wrapped"),
        ("domain", "chat"),
    ):
        document = json.loads(DOCUMENT.encode())
        document["keys"][0][name] = value
        with pytest.raises(DocumentUnreadable):
            Document.parse(json.dumps(document).encode())
    with pytest.raises(DocumentUnreadable):
        Document.parse(DOCUMENT.encode().replace(b'"plexigate:1": "A', b'"plexigate:1": "\\u00e9'))


def test_another_version() -> None:
    with pytest.raises(DocumentUnreadable, match="it is of version 2"):
        Document.parse(DOCUMENT.encode().replace(b'"version": 1', b'"version": 2', 1))
