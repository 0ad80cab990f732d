"""How the file of the keys below the sealing key is sealed, so that several versions of the sealing
key open it.

    magic "PXKEYS" | version 1 | number of wraps (1) | { length (2) envelope }... | envelope

The last envelope has the content, sealed by a file key. Each envelope before it has that file key,
sealed by one version of the sealing key, the newest first. So each version opens the file alone,
and who writes it needs one of them. A file of before that is a single envelope, sealed by the
sealing key itself; the next write replaces it.
"""

import os
import struct
from collections.abc import Sequence
from typing import Final

from certs.hierarchy.derivation import KEY_BYTES
from certs.sealing.envelope import Envelope, Purpose, SealingScheme
from certs.sealing.errors import NotSealed, OtherKey, Tampered
from certs.sealing.held_key import HeldKey
from certs.sealing.sealer import AeadSealer, Sealer

_MAGIC: Final = b"PXKEYS"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}sBB")
_LENGTH: Final = struct.Struct(">H")
_LABEL: Final = Purpose.KEY_HIERARCHY.label("file key")


class FileSealer:
    """A `Sealer` of that one file. What it opens says how it seals next."""

    def __init__(self, sealing_key: Sealer) -> None:
        self._sealing_key = sealing_key
        self._file_key: HeldKey | None = None
        self._wraps: Sequence[bytes] = ()

    @property
    def key_id(self) -> bytes:
        return self._sealing_key.key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        """The content for the same sealing keys as before; at first for this one."""
        if self._file_key is None:
            self.renew(self._sealing_key)
        assert self._file_key is not None  # made above
        wraps = b"".join(_LENGTH.pack(len(wrap)) + wrap for wrap in self._wraps)
        head = _HEAD.pack(_MAGIC, _VERSION, len(self._wraps))
        return head + wraps + AeadSealer(self._file_key).seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        wraps, content = _parts(sealed)
        if not wraps:
            self._file_key = None
            return self._sealing_key.open(content, label)
        ours = self.key_id
        named = [Envelope.parse(wrap).key_id for wrap in wraps]
        if ours not in named:
            raise OtherKey(named[0], (ours,))
        self._file_key = HeldKey(self._sealing_key.open(wraps[named.index(ours)], _LABEL))
        self._wraps = wraps
        return AeadSealer(self._file_key).open(content, label)

    def renew(self, *sealing_keys: Sealer) -> None:
        """Seal by a new file key, which these open, the newest first. Each of them proves it.

        Raises `Tampered` where one does not, and `KeyUnavailable`.
        """
        secret = os.urandom(KEY_BYTES)
        wraps = [one.seal(secret, _LABEL) for one in sealing_keys]
        if any(one.open(wrap, _LABEL) != secret for one, wrap in zip(sealing_keys, wraps, strict=True)):
            raise Tampered
        self._file_key = HeldKey(secret)
        self._wraps = wraps


def sealing_key_ids(sealed: bytes) -> tuple[bytes, ...]:
    """What envelopes call the sealing keys that open a file, the newest first. Raises
    `NotSealed`.
    """
    return tuple(one.key_id for one in _envelopes(sealed))


def is_quantum_safe(sealed: bytes) -> bool:
    """Whether AES keys alone open a file, and no key pair of RSA or EC. Raises `NotSealed`."""
    return all(one.scheme is SealingScheme.DIRECT for one in _envelopes(sealed))


def _envelopes(sealed: bytes) -> list[Envelope]:
    wraps, content = _parts(sealed)
    return [Envelope.parse(one) for one in wraps or (content,)]


def _parts(sealed: bytes) -> tuple[Sequence[bytes], bytes]:
    """The wraps, none in a file of before, and the envelope of the content."""
    if not sealed.startswith(_MAGIC):
        return (), sealed
    wraps = []
    try:
        _, version, count = _HEAD.unpack_from(sealed)
        rest = sealed[_HEAD.size :]
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(rest)
            rest = rest[_LENGTH.size :]
            wraps.append(rest[:length])
            rest = rest[length:]
    except struct.error:
        raise NotSealed("is not sealed: it is cut") from None
    if version != _VERSION or not wraps:
        raise NotSealed(f"is sealed in a format of version {version}; this Plexigate knows version {_VERSION}")
    return wraps, rest
