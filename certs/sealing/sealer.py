"""Seal and open with a sealing key, wherever that lives.

The seams to a token are as narrow as its operations: `AeadKey` where it has AES-GCM,
`UnwrappingKey` where it only has RSA or EC. A `Sealer` puts them into envelopes; who seals
something sees only that.
"""

import os
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.sealing.envelope import NONCE_BYTES, Envelope, SealingScheme
from certs.sealing.errors import KeyUnavailable, OtherKey, Tampered


class Sealer(Protocol):
    """Seals what must be stored on disk. May take as long as a token takes: not for the event
    loop."""

    @property
    def key_id(self) -> bytes:
        """The id of the key that new envelopes name, 16 bytes."""

    def seal(self, plain: bytes, label: str) -> bytes:
        """An envelope for this label alone (`Purpose.label`); raises `KeyUnavailable`."""

    def open(self, sealed: bytes, label: str) -> bytes:
        """The content of an envelope; raises a `SealingError`."""


class SealingKey(Sealer, Protocol):
    """Seals by a sealing key itself."""

    @property
    def has_shares(self) -> bool | None:
        """Whether recovery shares were made of the key; None if it does not tell."""


class AeadKey(Protocol):
    """An AES-256 key that encrypts with GCM and a tag of 128 bits."""

    @property
    def key_id(self) -> bytes:
        """A name for the key that says nothing of it, 16 bytes."""

    @property
    def has_shares(self) -> bool | None: ...

    def encrypt(self, plain: bytes, associated: bytes) -> tuple[bytes, bytes]:
        """A nonce of 12 bytes that was never used with this key, and ciphertext with tag; raises
        `KeyUnavailable`.

        The key makes the nonce, because tokens that are validated take none from outside (NIST SP
        800-38D 8.2.2, FIPS 140-3 IG C.H).
        """

    def decrypt(self, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
        """The plain text; raises `Tampered` where the tag is wrong, `KeyUnavailable` where it could
        not be tried.
        """


class UnwrappingKey(Protocol):
    """A key pair whose public half hides AES keys from all but its private half."""

    @property
    def key_id(self) -> bytes:
        """A name for the key pair, 16 bytes."""

    @property
    def scheme(self) -> SealingScheme: ...

    def wrap(self) -> tuple[bytes, bytes]:
        """A new AES-256 key, and the same hidden. Needs the public half alone, so no token."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """The AES-256 key again; raises `Tampered` or `KeyUnavailable`."""


class AeadSealer:
    def __init__(self, key: AeadKey) -> None:
        self._key = key

    @property
    def key_id(self) -> bytes:
        return self._key.key_id

    @property
    def has_shares(self) -> bool | None:
        return self._key.has_shares

    def seal(self, plain: bytes, label: str) -> bytes:
        empty = Envelope(SealingScheme.DIRECT, self.key_id, label, b"", b"", b"")
        nonce, ciphertext = self._key.encrypt(plain, empty.associated)
        return empty.filled(nonce, ciphertext).encode()

    def open(self, sealed: bytes, label: str) -> bytes:
        envelope = _addressed(sealed, label, SealingScheme.DIRECT, self.key_id)
        return self._key.decrypt(envelope.nonce, envelope.ciphertext, envelope.associated)


class WrappingSealer:
    """Seals with an `UnwrappingKey`: each envelope has its own AES key, hidden in it."""

    has_shares: Final = False  # its private half was made in its token, and never left it

    def __init__(self, key: UnwrappingKey) -> None:
        self._key = key

    @property
    def key_id(self) -> bytes:
        return self._key.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        """An envelope; the token is not needed for it."""
        key, wrapped = self._key.wrap()
        empty = Envelope(self._key.scheme, self.key_id, label, wrapped, b"", b"")
        nonce = os.urandom(NONCE_BYTES)
        return empty.filled(nonce, AESGCM(key).encrypt(nonce, plain, empty.associated)).encode()

    def open(self, sealed: bytes, label: str) -> bytes:
        envelope = _addressed(sealed, label, self._key.scheme, self.key_id)
        key = self._key.unwrap(envelope.wrapped)
        try:
            return AESGCM(key).decrypt(envelope.nonce, envelope.ciphertext, envelope.associated)
        except InvalidTag:
            raise Tampered from None


class SealerRing:
    """Seals with the newest of several keys and opens with whichever an envelope names: for the
    time in which the key is replaced.
    """

    def __init__(self, newest: Sealer, *older: Sealer) -> None:
        self._newest = newest
        self._sealers = {sealer.key_id: sealer for sealer in (newest, *older)}

    @property
    def key_id(self) -> bytes:
        """The id of the newest key."""
        return self._newest.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        """An envelope with the newest key."""
        return self._newest.seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        """The content of an envelope with any of the keys."""
        named = Envelope.parse(sealed).key_id
        sealer = self._sealers.get(named)
        if sealer is None:
            raise OtherKey(named, tuple(self._sealers))
        return sealer.open(sealed, label)


class SucceedingSealer:
    """Seals with one key, and opens with the one before it too, if that is still there."""

    def __init__(self, sealer: Sealer, before: Sealer) -> None:
        self._sealer = sealer
        self._before = before

    @property
    def key_id(self) -> bytes:
        return self._sealer.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        return self._sealer.seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        """The content of an envelope of either."""
        try:
            return self._before.open(sealed, label)
        except (OtherKey, KeyUnavailable):
            return self._sealer.open(sealed, label)


def _addressed(sealed: bytes, label: str, scheme: SealingScheme, key_id: bytes) -> Envelope:
    """An envelope that is for this key and purpose.

    Both are authenticated as well: these answers are only clearer ones.
    """
    envelope = Envelope.parse(sealed)
    if (envelope.key_id, envelope.scheme) != (key_id, scheme):
        raise OtherKey(envelope.key_id, (key_id,))
    envelope.require_label(label)
    return envelope
