"""The file of a backup: what encrypts it, and what finds each byte that was changed.

    magic "PXBACKUP" | version 1 | length (4) header | parts |
    manifest | signature | length (4) of the manifest | length (4) of the signature | "PXBACKUP"

Numbers are big-endian. The header says who can open it. The parts are the content, encrypted by
AES-256-GCM in pieces of 1 MiB: the STREAM construction (Hoang, Reyhanitabar, Rogaway, Vizár 2015),
whose nonce is the number of the part and whether it is the last one. So a part that was removed,
repeated, reordered or taken from another backup does not open. The key of the parts is derived from
a random secret and the header.

The manifest has the digests of the header and of the parts, and ML-DSA-87 signs it: no secret is
needed to find out that a backup is whole, and whose it is.
"""

import hashlib
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PART_BYTES: Final = 1_048_576
SECRET_BYTES: Final = 32

_MAGIC: Final = b"PXBACKUP"
_VERSION: Final = 1
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}sBI")
_FOOT: Final = struct.Struct(f">II{len(_MAGIC)}s")
_TAG_BYTES: Final = 16
_COUNTER_BYTES: Final = 11
_INFO: Final = b"plexigate backup parts 1"
# Of a header: `keys.sealed` and some dozen recipients. Of a manifest: a line for each key that is
# not in the backup. Far above both, and far below the memory of a machine.
_LONGEST: Final = 64 * 1_048_576
_AT_ONCE: Final = 1_048_576


class BackupDamaged(Exception):
    """A file that is no backup, or not as it was written; `found` is a clause about it."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"the backup {self.found}"


@dataclass(frozen=True, slots=True)
class Written:
    """What a manifest says about the header and the parts."""

    header_digest: str
    body_digest: str
    body_bytes: int


class BackupWriter:
    """Writes a backup from its beginning to its end. The content goes to `write`."""

    def __init__(self, file: BinaryIO, header: bytes, secret: bytes) -> None:
        """Begin with the header. `secret` has `SECRET_BYTES`, and opens this backup alone."""
        self._file = file
        self._header = header
        self._cipher = AESGCM(_part_key(secret, header))
        self._waiting = bytearray()
        self._count = 0
        self._digest = hashlib.sha384()
        self._body_bytes = 0
        file.write(_HEAD.pack(_MAGIC, _VERSION, len(header)) + header)

    def write(self, content: bytes) -> int:
        """Take more of the content; parts are written as they fill. Raises `OSError`."""
        self._waiting += content
        # the last part may be full as well, and is not known to be the last before `finish`
        while len(self._waiting) > PART_BYTES:
            self._write_part(bytes(self._waiting[:PART_BYTES]), is_last=False)
            del self._waiting[:PART_BYTES]
        return len(content)

    def finish_content(self) -> Written:
        """Write the last part; answers what the manifest is to say. Raises `OSError`."""
        self._write_part(bytes(self._waiting), is_last=True)
        return Written(_digest(self._header), self._digest.hexdigest(), self._body_bytes)

    def finish(self, manifest: bytes, signature: bytes) -> None:
        """Write what stands behind the parts. Raises `OSError`."""
        self._file.write(manifest + signature + _FOOT.pack(len(manifest), len(signature), _MAGIC))

    def _write_part(self, content: bytes, *, is_last: bool) -> None:
        part = self._cipher.encrypt(_nonce(self._count, is_last=is_last), content, None)
        self._count += 1
        self._digest.update(part)
        self._body_bytes += len(part)
        self._file.write(part)


class BackupReader:
    """Reads a backup from a file that can be sought in. Nothing in it is trusted before `check`."""

    def __init__(self, file: BinaryIO) -> None:
        """Read what stands around the parts. Raises `BackupDamaged` and `OSError`."""
        self._file = file
        self.size: Final = file.seek(0, 2)
        if self.size < _HEAD.size + _FOOT.size:
            raise BackupDamaged("is too short to be one")
        file.seek(0)
        magic, version, header_bytes = _HEAD.unpack(file.read(_HEAD.size))
        if magic != _MAGIC:
            raise BackupDamaged("does not begin as one: it is another file")
        if version != _VERSION:
            raise BackupDamaged(f"has the format {version}; this Plexigate knows format {_VERSION}")
        file.seek(self.size - _FOOT.size)
        manifest_bytes, signature_bytes, end = _FOOT.unpack(file.read(_FOOT.size))
        self._begin = _HEAD.size + header_bytes
        self.body_bytes: Final = self.size - _FOOT.size - manifest_bytes - signature_bytes - self._begin
        if end != _MAGIC or self.body_bytes < _TAG_BYTES:
            raise BackupDamaged("is cut, or was written to after its end")
        if max(header_bytes, manifest_bytes, signature_bytes) > _LONGEST:
            raise BackupDamaged(f"has a header or manifest of more than {_LONGEST:_} bytes")
        file.seek(_HEAD.size)
        self.header: Final = file.read(header_bytes)
        file.seek(self._begin + self.body_bytes)
        self.manifest: Final = file.read(manifest_bytes)
        self.signature: Final = file.read(signature_bytes)

    def check_header(self, written: Written) -> None:
        """Compare the header with what a manifest says. Raises `BackupDamaged`."""
        if _digest(self.header) != written.header_digest:
            raise BackupDamaged("is not as it was written: its header has another digest than the manifest says")

    def check(self, written: Written, told: Callable[[int], None]) -> None:
        """Compare the parts with what a manifest says; `told` hears how many bytes were read.

        Raises `BackupDamaged` and `OSError`.
        """
        digest = hashlib.sha384()
        for piece in self._body(_AT_ONCE):
            digest.update(piece)
            told(len(piece))
        if self.body_bytes != written.body_bytes or digest.hexdigest() != written.body_digest:
            raise BackupDamaged("is not as it was written: its parts have another digest than the manifest says")

    def content(self, secret: bytes) -> Iterator[bytes]:
        """The content, part by part. Raises `BackupDamaged` and `OSError`: each part that was
        yielded is as it was written, but only the end of the iteration tells that none is missing.
        """
        cipher = AESGCM(_part_key(secret, self.header))
        parts = -(-self.body_bytes // (PART_BYTES + _TAG_BYTES))
        for number, part in enumerate(self._body(PART_BYTES + _TAG_BYTES)):
            try:
                yield cipher.decrypt(_nonce(number, is_last=number == parts - 1), part, None)
            except InvalidTag:
                raise BackupDamaged(f"is not as it was written: part {number + 1} of {parts} does not open") from None

    def _body(self, at_once: int) -> Iterator[bytes]:
        self._file.seek(self._begin)
        left = self.body_bytes
        while left:
            piece = self._file.read(min(left, at_once))
            if not piece:
                raise BackupDamaged("has become shorter while it was read")
            left -= len(piece)
            yield piece


def _part_key(secret: bytes, header: bytes) -> bytes:
    return HKDF(hashes.SHA384(), 32, None, _INFO + hashlib.sha384(header).digest()).derive(secret)


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(_COUNTER_BYTES, "big") + bytes([is_last])


def _digest(content: bytes) -> str:
    return hashlib.sha384(content).hexdigest()
