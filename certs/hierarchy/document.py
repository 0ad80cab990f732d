"""The hierarchy with its secrets as JSON, which is what the store seals."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Self, TypedDict

from certs.hierarchy.hierarchy import Hierarchy
from certs.hierarchy.key import DOMAIN, KeyState, ManagedKey

_VERSION: Final = 1


class KeyDocument(TypedDict):
    """A key without its secret. Times are in ISO 8601."""

    domain: str
    purpose: str
    version: int
    origin: str
    parent: str
    quota: int | None
    uses: int
    state: str
    created: str
    activated: str | None
    retired: str | None
    destroyed: str | None


class DocumentUnreadable(Exception):
    """A document that is no key hierarchy, or is of an unknown version."""


@dataclass(frozen=True, slots=True)
class Document:
    """A hierarchy, and the secrets of its top keys by their id."""

    hierarchy: Hierarchy = field(default_factory=Hierarchy)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def encode(self) -> bytes:
        return json.dumps(
            {
                "version": _VERSION,
                "keys": [as_json(key) for key in self.hierarchy.keys.values()],
                "secrets": {key_id: base64.b64encode(secret).decode() for key_id, secret in self.secrets.items()},
            }
        ).encode()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a document; raises `DocumentUnreadable`, which shows nothing of it."""
        try:
            document = json.loads(content)
            if document["version"] != _VERSION:
                raise DocumentUnreadable(f"it is of version {document['version']!r:.20}")
            keys = [_from_json(entry) for entry in document["keys"]]
            secrets = {key_id: base64.b64decode(text, validate=True) for key_id, text in document["secrets"].items()}
        except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
            raise DocumentUnreadable("it is not a key hierarchy") from None
        return cls(Hierarchy({key.id: key for key in keys}), secrets)


def as_json(key: ManagedKey) -> KeyDocument:
    """What there is to know of a key, without its secret."""
    return {
        "domain": DOMAIN,
        "purpose": key.purpose,
        "version": key.version,
        "origin": _origin(key.purpose),
        "parent": key.parent,
        "quota": key.quota,
        "uses": key.uses,
        "state": key.state.value,
        "created": key.created.isoformat(),
        "activated": _shown(key.activated),
        "retired": _shown(key.retired),
        "destroyed": _shown(key.destroyed),
    }


def _from_json(entry: Mapping[str, Any]) -> ManagedKey:
    purpose = str(entry["purpose"])
    if (entry["domain"], entry["origin"]) != (DOMAIN, _origin(purpose)):
        raise DocumentUnreadable(f"it has a key of another domain or origin for {purpose!r:.80}")
    return ManagedKey(
        purpose=purpose,
        version=int(entry["version"]),
        parent=str(entry["parent"]),
        created=datetime.fromisoformat(entry["created"]),
        quota=None if entry["quota"] is None else int(entry["quota"]),
        uses=int(entry["uses"]),
        state=KeyState(entry["state"]),
        activated=_date(entry["activated"]),
        retired=_date(entry["retired"]),
        destroyed=_date(entry["destroyed"]),
    )


def _origin(purpose: str) -> str:
    """How the secret of a key comes about, as files of version 1 name it."""
    return "derived" if purpose else "random"


def _shown(date: datetime | None) -> str | None:
    return None if date is None else date.isoformat()


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
