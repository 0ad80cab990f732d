"""The format of what is sealed.

    magic "PXSEAL" | version 1 | scheme | key id (16) | length (2) label | length (2) wrapped key |
    nonce (12) | ciphertext | tag (16)

AES-256-GCM (NIST SP 800-38D) encrypts the content; everything before the nonce is authenticated
with it. So an envelope opens only with the key that it names and for the purpose that its label
names: one file cannot be put in place of another. Numbers are big-endian. The nonce is random:
with one key no more than 2^32 envelopes may be made (SP 800-38D 8.3), which no installation reaches
by sealing files. With the schemes that wrap a key, each envelope has an AES key of its own.
"""

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Final, Self

from certs.sealing.errors import NotSealed, OtherLabel

KEY_ID_BYTES: Final = 16
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

_MAGIC: Final = b"PXSEAL"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}sBB{KEY_ID_BYTES}sH")
_LENGTH: Final = struct.Struct(">H")
_LONGEST: Final = 0xFFFF


class SealingScheme(IntEnum):
    """How the AES key comes about."""

    DIRECT = 1
    RSA_OAEP = 2
    """Random, encrypted with RSAES-OAEP (RFC 8017 7.1, `unwrapping.OAEP`)."""
    ECDH_P256 = 3
    """HKDF-SHA-256 (RFC 5869) of an ephemeral-static ECDH on P-256 (NIST SP 800-56A 6.2.2.2)."""


class Purpose(StrEnum):
    TICKET_KEYS = "ticket keys"
    PAYLOAD_KEYRING = "payload keyring"
    CREDENTIAL_KEY = "credential key"
    ACME_ACCOUNT = "ACME account key"
    BACKUP = "backup keys"
    FLEET = "fleet"
    KEY_HIERARCHY = "key hierarchy"
    PROBE = "probe"

    def label(self, name: str) -> str:
        """The label of one thing of this kind; `name` tells it from the others, as the name of an
        identity or route does.
        """
        return f"{self.value}: {name}"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope in its parts; nothing of it is secret.

    `wrapped` is empty with `SealingScheme.DIRECT`, the point or ciphertext otherwise.
    """

    scheme: SealingScheme
    key_id: bytes
    label: str
    wrapped: bytes
    nonce: bytes
    ciphertext: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Read an envelope; raises `NotSealed`."""
        try:
            magic, version, scheme, key_id, label_bytes = _HEAD.unpack_from(raw)
        except struct.error:
            raise NotSealed("is not sealed: it is too short") from None
        if magic != _MAGIC:
            raise NotSealed("is not sealed")
        if version != _VERSION:
            raise NotSealed(f"is sealed in a format of version {version}; this Plexigate knows version {_VERSION}")
        label, rest = _cut(raw[_HEAD.size :], label_bytes)
        if len(rest) < _LENGTH.size:
            raise NotSealed("is not sealed: it is cut")
        wrapped, rest = _cut(rest[_LENGTH.size :], *_LENGTH.unpack_from(rest))
        nonce, ciphertext = _cut(rest, NONCE_BYTES)
        if len(ciphertext) < TAG_BYTES:
            raise NotSealed("is not sealed: it is cut")
        try:
            return cls(SealingScheme(scheme), key_id, label.decode(), wrapped, nonce, ciphertext)
        except ValueError:  # no such scheme, or a label that is not UTF-8
            raise NotSealed("is sealed with a scheme that this Plexigate does not know") from None

    @property
    def associated(self) -> bytes:
        """What is authenticated besides the content. Raises `ValueError` if that is too long."""
        label = self.label.encode()
        if max(len(label), len(self.wrapped)) > _LONGEST:
            raise ValueError(f"a label or wrapped key of more than {_LONGEST} bytes")
        head = _HEAD.pack(_MAGIC, _VERSION, self.scheme, self.key_id, len(label))
        return b"".join((head, label, _LENGTH.pack(len(self.wrapped)), self.wrapped))

    def encode(self) -> bytes:
        """The envelope as bytes; raises as `associated`."""
        return b"".join((self.associated, self.nonce, self.ciphertext))

    def filled(self, nonce: bytes, ciphertext: bytes) -> "Envelope":
        """The same with its content and tag. Raises `ValueError` for a nonce of another length."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        return replace(self, nonce=nonce, ciphertext=ciphertext)

    def require_label(self, expected: str) -> None:
        """Raises `OtherLabel` if this is for another purpose."""
        if self.label != expected:
            raise OtherLabel(self.label, expected)


def is_sealed(content: bytes) -> bool:
    return content.startswith(_MAGIC)


def _cut(raw: bytes, length: int) -> tuple[bytes, bytes]:
    if len(raw) < length:
        raise NotSealed("is not sealed: it is cut")
    return raw[:length], raw[length:]
