"""The hierarchy with its secrets as JSON, which is what the store seals."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, Self, TypedDict

from certs.hierarchy.derivation import derived
from certs.hierarchy.hierarchy import Hierarchy
from certs.hierarchy.key import KeyState, ManagedKey

_VERSION: Final = 2


class KeyDocument(TypedDict):
    """A key without its secret. Times are in ISO 8601."""

    purpose: str
    version: int
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
class SealingKeyRecord:
    """A version of the sealing key that opens the file.

    `id` is what envelopes call it, `name` its place for people. `since`: when it began to seal
    (None: before that was noted). `until`: when it opens no more, as another one has taken its
    place (None: it seals).
    """

    id: bytes
    name: str
    since: datetime | None
    until: datetime | None = None
    has_shares: bool | None = None
    """Whether recovery shares bring it back; None: it was not noted."""


@dataclass(frozen=True, slots=True)
class Document:
    """A hierarchy, the secrets of its keys by their id, and the sealing keys, newest first."""

    hierarchy: Hierarchy = field(default_factory=Hierarchy)
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    sealing_keys: tuple[SealingKeyRecord, ...] = ()
    ended: tuple[bytes, ...] = ()
    """What envelopes call the sealing keys that opened the file before these."""

    @property
    def had(self) -> tuple[bytes, ...]:
        """What envelopes call every sealing key that the file has had."""
        return (*(one.id for one in self.sealing_keys), *self.ended)

    def sealed_by(self, *sealing_keys: SealingKeyRecord) -> Self:
        """With these sealing keys, the newest first, in place of the present ones."""
        ids = [one.id for one in sealing_keys]
        ended = tuple(one for one in self.had if one not in ids)
        return replace(self, sealing_keys=sealing_keys, ended=ended)

    def encode(self) -> bytes:
        return json.dumps(
            {
                "version": _VERSION,
                "sealing_keys": [
                    {
                        "id": one.id.hex(),
                        "name": one.name,
                        "since": _shown(one.since),
                        "until": _shown(one.until),
                        "has_shares": one.has_shares,
                    }
                    for one in self.sealing_keys
                ],
                "ended": [one.hex() for one in self.ended],
                "keys": [as_json(key) for key in self.hierarchy.keys.values()],
                "secrets": {key_id: base64.b64encode(secret).decode() for key_id, secret in self.secrets.items()},
            }
        ).encode()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a document; raises `DocumentUnreadable`, which shows nothing of it."""
        try:
            document = json.loads(content)
            secrets = {key_id: base64.b64decode(text, validate=True) for key_id, text in document["secrets"].items()}
            match document["version"]:
                case 1:
                    secrets = _derived(document["keys"], secrets)
                case 2:
                    pass
                case other:
                    raise DocumentUnreadable(f"it is of version {other!r:.20}")
            keys = [_from_json(entry) for entry in document["keys"] if entry["purpose"]]
            sealing_keys = tuple(
                SealingKeyRecord(
                    bytes.fromhex(one["id"]),
                    str(one["name"]),
                    _date(one["since"]),
                    _date(one["until"]),
                    one.get("has_shares"),
                )
                for one in document.get("sealing_keys", ())
            )
            ended = tuple(bytes.fromhex(one) for one in document.get("ended", ()))
        except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
            raise DocumentUnreadable("it is not a key hierarchy") from None
        for key in keys:
            if key.opens and key.id not in secrets:
                raise DocumentUnreadable(f"the secret of key {key.id} is missing")
        return cls(Hierarchy({key.id: key for key in keys}), secrets, sealing_keys, ended)


def _derived(entries: list[Mapping[str, Any]], secrets: Mapping[str, bytes]) -> dict[str, bytes]:
    """The secrets of a file of version 1: it has those of top keys, from which the others come."""
    keys = [(_from_json(entry), str(entry["parent"])) for entry in entries if entry["purpose"]]
    return {
        key.id: derived(secrets[parent], key.purpose, key.version)
        for key, parent in keys
        if key.opens and parent in secrets
    }


def as_json(key: ManagedKey) -> KeyDocument:
    """What there is to know of a key, without its secret."""
    return {
        "purpose": key.purpose,
        "version": key.version,
        "quota": key.quota,
        "uses": key.uses,
        "state": key.state.value,
        "created": key.created.isoformat(),
        "activated": _shown(key.activated),
        "retired": _shown(key.retired),
        "destroyed": _shown(key.destroyed),
    }


def _from_json(entry: Mapping[str, Any]) -> ManagedKey:
    return ManagedKey(
        purpose=str(entry["purpose"]),
        version=int(entry["version"]),
        created=datetime.fromisoformat(entry["created"]),
        quota=None if entry["quota"] is None else int(entry["quota"]),
        uses=int(entry["uses"]),
        state=KeyState(entry["state"]),
        activated=_date(entry["activated"]),
        retired=_date(entry["retired"]),
        destroyed=_date(entry["destroyed"]),
    )


def _shown(date: datetime | None) -> str | None:
    return None if date is None else date.isoformat()


def _date(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
