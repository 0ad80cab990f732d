"""The header of a backup: who can open it, and what the sealing key needs for that. Pure."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from certs.backup.container import SECRET_BYTES, BackupDamaged
from certs.backup.index import UNREADABLE
from certs.sealing.recipients import BACKUP_INFO, NotOpened, PrivateRecipient, PublicRecipient


class NotForThisKey(Exception):
    """A backup that is not encrypted to a key; `recipients` are the ids of those that open it."""

    def __init__(self, key: str, recipients: Sequence[str]) -> None:
        super().__init__(key, recipients)
        self.key = key
        self.recipients = recipients

    def __str__(self) -> str:
        return f"the backup is not encrypted to the key {self.key}; allowed: {', '.join(self.recipients)}"


@dataclass(frozen=True, slots=True)
class Header:
    """The secret of a backup, encrypted to each recipient, by the id of the key; and the sealed
    files, by their names, in which the sealing key finds the recovery key. `info` is authenticated
    with the secret.
    """

    sealed: Mapping[str, bytes] = field(repr=False)
    files: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def made(
        cls,
        secret: bytes,
        recipients: Sequence[PublicRecipient],
        files: Mapping[str, bytes],
        info: bytes = BACKUP_INFO,
    ) -> Self:
        return cls({one.id: one.seal(secret, info) for one in recipients}, files)

    def encode(self) -> bytes:
        return json.dumps({"sealed": _as_text(self.sealed), "files": _as_text(self.files)}).encode()

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read what `encode` wrote. Raises `BackupDamaged`."""
        try:
            facts = json.loads(content)
            return cls(_as_bytes(facts["sealed"]), _as_bytes(facts["files"]))
        except UNREADABLE:
            raise BackupDamaged("has a header that Plexigate did not write") from None

    def opened(self, keys: Sequence[PrivateRecipient], info: bytes = BACKUP_INFO) -> bytes:
        """The secret, by the first of these keys that it is encrypted to.

        Raises `NotForThisKey` or `BackupDamaged`.
        """
        for key in keys:
            if (sealed := self.sealed.get(key.public.id)) is not None:
                try:
                    secret = key.open(sealed, info)
                except NotOpened:
                    raise BackupDamaged(
                        f"does not open by the key {key.public.id}, to which it should be encrypted"
                    ) from None
                if len(secret) != SECRET_BYTES:
                    raise BackupDamaged("has a secret of another length")
                return secret
        raise NotForThisKey(" or ".join(key.public.id for key in keys), tuple(self.sealed))


def _as_text(values: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(value).decode() for name, value in values.items()}


def _as_bytes(texts: Any) -> dict[str, bytes]:
    return {str(name): base64.b64decode(text, validate=True) for name, text in texts.items()}
