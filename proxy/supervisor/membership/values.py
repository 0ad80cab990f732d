"""What a fleet writes into its store: sealed by the key of the fleet, for one name alone.

A value is JSON: `schema` (of its content), `epoch` (of the key), `writer` (a node), and
`ciphertext` (AES-256-GCM, NIST SP 800-38D, a random nonce before it). The name and the other fields
are authenticated with it, so no value can be put in place of another one. The store orders
writes, and is not trusted with more. The random nonces allow 2^32 values under one key.
"""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from certs.sealing.envelope import NONCE_BYTES
from certs.sealing.errors import Tampered
from certs.sealing.held_key import HeldKey
from config.values.problems import printable


@dataclass(frozen=True, slots=True)
class Schemas:
    """The schemas of contents that a version of Plexigate reads and writes: `newest`, and the one
    before it. `newer` makes a content of the newest one of it, by the name of the value, and
    `older` does the reverse. A new field is a new schema: a node that writes a value again keeps
    only fields that it knows, and while versions are mixed all write the lower schema.
    """

    newest: int
    newer: Callable[[str, Any], Any]
    older: Callable[[str, Any], Any]


def _same(_: str, content: Any) -> Any:
    return content


SCHEMAS: Final = Schemas(1, _same, _same)
"""There is one so far."""
KEY_BYTES: Final = 32


NOT_READABLE: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What JSON can raise that others have written. Anyone who can write into the store can."""


class ValueUnusable(Exception):
    """A value that this node does not use; the text says which one, and why."""

    def __init__(self, name: str, found: str) -> None:
        super().__init__(name, found)
        self.name = name
        self.found = found

    def __str__(self) -> str:
        return f"{printable(self.name):.100} in the store of the fleet {self.found}"


class OfEarlierEpoch(ValueUnusable):
    """A value that the key of an earlier epoch has sealed, perhaps."""


@dataclass(frozen=True, slots=True)
class FleetKey:
    """The key of an epoch. Who was handed it reads everything of that epoch."""

    epoch: int
    secret: bytes = field(repr=False)
    schemas: Schemas = field(default=SCHEMAS, repr=False, compare=False)

    @classmethod
    def fresh(cls, epoch: int) -> "FleetKey":
        return cls(epoch, secrets.token_bytes(KEY_BYTES))

    def of_next_epoch(self, secret: bytes) -> "FleetKey":
        return replace(self, epoch=self.epoch + 1, secret=secret)

    def seal(self, name: str, writer: str, content: object, schema: int) -> bytes:
        """A value with this content, which is written as JSON: in the newest schema, or the one
        before if `schema`, which all members read, is lower.
        """
        newest = self.schemas.newest
        schema = min(max(schema, newest - 1, 1), newest)
        plain = json.dumps(content if schema == newest else self.schemas.older(name, content)).encode()
        nonce, ciphertext = HeldKey(self.secret).encrypt(plain, _associated(name, schema, self.epoch, writer))
        sealed = base64.b64encode(nonce + ciphertext).decode()
        return json.dumps({"schema": schema, "epoch": self.epoch, "writer": writer, "ciphertext": sealed}).encode()

    def open(self, name: str, value: bytes) -> Any:
        """The content of a value. Raises `ValueUnusable`."""
        try:
            document = json.loads(value)
            schema = document["schema"]
            epoch = document["epoch"]
            writer = document["writer"]
            sealed = base64.b64decode(document["ciphertext"], validate=True)
            if not isinstance(writer, str):
                raise TypeError
        except NOT_READABLE:
            raise ValueUnusable(name, "is no value of a fleet") from None
        newest = self.schemas.newest
        if schema not in (newest, newest - 1) or schema == 0:
            raise ValueUnusable(name, f"has schema {schema!a:.20}; this Plexigate knows {newest}")
        if epoch != self.epoch:
            is_earlier = isinstance(epoch, int) and epoch < self.epoch
            raise (OfEarlierEpoch if is_earlier else ValueUnusable)(
                name, f"is sealed by the key of epoch {epoch!a:.20}; this node has that of {self.epoch}"
            )
        try:
            associated = _associated(name, schema, epoch, writer)
            content = json.loads(HeldKey(self.secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated))
            return content if schema == newest else self.schemas.newer(name, content)
        except (Tampered, ValueError):
            raise ValueUnusable(name, "was not sealed by the key of this fleet, or was changed since") from None


def _associated(name: str, schema: object, epoch: object, writer: object) -> bytes:
    return json.dumps(["plexigate fleet value", name, schema, epoch, writer]).encode()
