"""What a log answers: entries of the API of RFC 6962, and tiles of the static API. Pure.

https://c2sp.org/static-ct-api describes the latter. Both have the same entries, with other things
around them. Only the certificate of an entry is read: whether the log shows the same tree to all is
for those to judge who compare logs.
"""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from typing import Any, Final

TILE_ENTRIES: Final = 256
_GZIP: Final = b"\x1f\x8b"
# A tile has 256 entries, mostly of 2 KB each, and no more than a few of them are larger.
_MOST_TILE_BYTES: Final = 16_777_216
# An entry has two fields. Small values, millions of them, take twenty times their bytes.
_COMMAS_OF_ENTRY: Final = 8
_TIMESTAMP: Final = 8
_ISSUER_KEY_HASH: Final = 32
_CERTIFICATE: Final = 0
_PRECERTIFICATE: Final = 1
_DIGITS: Final = 1_000


class AnswerDamaged(ValueError):
    """A log did not answer what its API says; `found` is a clause."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return f"its answer is none of a log: {self.found}"


def certificates(content: bytes, asked: int) -> list[bytes]:
    """The certificates in an answer to `get-entries`, in DER (RFC 6962 section 4.6).

    `asked`: how many were asked for at most. A precertificate stands for the certificate that
    follows it.
    """
    if content.count(b",") > asked * _COMMAS_OF_ENTRY:
        raise AnswerDamaged("more values than its entries can have")
    try:
        rows: Any = json.loads(content)["entries"]
        return [_certificate(_decoded(one["leaf_input"]), _decoded(one["extra_data"])) for one in rows]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise error if isinstance(error, AnswerDamaged) else AnswerDamaged("no entries") from None


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _certificate(leaf: bytes, extra: bytes) -> bytes:
    # version 1, a timestamped entry (RFC 6962 section 3.4)
    if leaf[:2] != b"\0\0":
        raise AnswerDamaged("an entry of an unknown version")
    certificate = _entry(_Vectors(leaf[2:]))
    return _Vectors(extra).vector(3) if certificate is None else certificate


def tile_path(number: int, entries: int) -> str:
    """Where a tile is. It has 256 `entries`, or fewer at the end of the log."""
    parts = [f"{number % _DIGITS:03}"]
    while number := number // _DIGITS:
        parts.insert(0, f"x{number % _DIGITS:03}")
    return "tile/data/" + "/".join(parts) + ("" if entries == TILE_ENTRIES else f".p/{entries}")


def tile_certificates(content: bytes) -> Iterator[bytes]:
    """The certificates in a tile, in DER. Raises `AnswerDamaged`."""
    if content.startswith(_GZIP):
        try:
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(_MOST_TILE_BYTES)
        except (OSError, EOFError, zlib.error):
            raise AnswerDamaged("a tile that does not unpack") from None
    reading = _Vectors(content)
    while not reading.is_at_end:
        certificate = _entry(reading)
        yield reading.vector(3) if certificate is None else certificate
        reading.vector(2)  # the fingerprints of its issuers


def _entry(reading: "_Vectors") -> bytes | None:
    """The certificate of an entry; None for a precertificate, which stands behind the entry."""
    reading.take(_TIMESTAMP)
    kind = int.from_bytes(reading.take(2), "big")
    if kind not in {_CERTIFICATE, _PRECERTIFICATE}:
        raise AnswerDamaged(f"an entry of the unknown type {kind}")
    if kind == _PRECERTIFICATE:
        reading.take(_ISSUER_KEY_HASH)
    content = reading.vector(3)
    reading.vector(2)  # extensions
    return content if kind == _CERTIFICATE else None


class _Vectors:
    """Takes vectors of TLS from the beginning of bytes (RFC 8446 section 3.4)."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._content)

    def take(self, count: int) -> bytes:
        """The next bytes. Raises `AnswerDamaged` where there are fewer."""
        found = self._content[self._at : self._at + count]
        if len(found) < count:
            raise AnswerDamaged("an entry that ends too early")
        self._at += count
        return found

    def vector(self, size: int) -> bytes:
        """What stands behind a length of `size` bytes."""
        return self.take(int.from_bytes(self.take(size), "big"))
