"""Sessions as `openssl s_client -sess_out` writes them, taken apart and changed (ssl/ssl_asn1.c of OpenSSL)."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_SEQUENCE, _OCTETS = 0x30, 0x04
_CIPHER_PLACE, _SECRET_PLACE = 2, 4
_TICKET_TAG, _AGE_TAG = 0xAA, 0xAE
"""Fields 10 and 14, which have a value of their own inside."""
_LONG = 0x80
_LABEL = "SSL SESSION PARAMETERS"


@dataclass(slots=True)
class SessionOnDisk:
    """One session of TLS 1.3."""

    _parts: list[tuple[int, bytes]]

    @classmethod
    def read(cls, path: Path) -> Self:
        text = path.read_text().partition(f"-----BEGIN {_LABEL}-----")[2].partition("-----END")[0]
        ((_, body),) = _values(base64.b64decode(text))
        return cls(_values(body))

    def write(self, path: Path) -> None:
        whole = _value(_SEQUENCE, b"".join(_value(*one) for one in self._parts))
        path.write_text(f"-----BEGIN {_LABEL}-----\n{base64.encodebytes(whole).decode()}-----END {_LABEL}-----\n")

    @property
    def suite(self) -> int:
        return int.from_bytes(self._parts[_CIPHER_PLACE][1])

    @property
    def secret(self) -> bytes:
        """What the resumption proves to know."""
        return self._parts[_SECRET_PLACE][1]

    @property
    def ticket(self) -> bytes:
        return self._inner(_TICKET_TAG)

    @property
    def age_add(self) -> int:
        return int.from_bytes(self._inner(_AGE_TAG))

    def replace(self, suite: int, secret: bytes, ticket: bytes) -> None:
        """Put what belongs to another ticket in their place."""
        self._parts[_CIPHER_PLACE] = (_OCTETS, suite.to_bytes(2))
        self._parts[_SECRET_PLACE] = (_OCTETS, secret)
        place = [tag for tag, _ in self._parts].index(_TICKET_TAG)
        self._parts[place] = (_TICKET_TAG, _value(_OCTETS, ticket))

    def _inner(self, tag: int) -> bytes:
        ((_, inner),) = _values(dict(self._parts)[tag])
        return inner


def _values(data: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents (DER)."""
    found = []
    while data:
        tag, size, start = data[0], data[1], 2
        if size & _LONG:
            start += size & ~_LONG
            size = int.from_bytes(data[2:start])
        found.append((tag, data[start : start + size]))
        data = data[start + size :]
    return found


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, _LONG | len(digits)]) + digits + content
