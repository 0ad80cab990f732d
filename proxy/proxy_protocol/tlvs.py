"""The extensions (TLVs) of version 2 of the PROXY protocol. Pure. Specification, section 2.2."""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from proxy.proxy_protocol.header import HeaderFault, ProxyHeaderError

_HEAD_BYTES: Final = 3  # the type, and the length in two octets


class Tlv(IntEnum):
    """The registered types that we read or write."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    UNIQUE_ID = 0x05
    SSL = 0x20
    # in the value of SSL
    SSL_VERSION = 0x21
    SSL_CN = 0x22
    SSL_CIPHER = 0x23
    SSL_GROUP = 0x26


def split(header: bytes, start: int) -> Iterator[tuple[int, int, bytes]]:
    """The type, the place of the value, and the value of each TLV from `start` on.

    Raises `ProxyHeaderError` for one that does not end with the header.
    """
    while start < len(header):
        value = start + _HEAD_BYTES
        end = value if value > len(header) else value + int.from_bytes(header[start + 1 : value])
        if end > len(header):
            raise ProxyHeaderError(HeaderFault.TLV, f"octet {end} of {len(header)}")
        yield header[start], value, header[value:end]
        start = end
