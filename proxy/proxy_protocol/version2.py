"""Reads version 2 of the PROXY protocol, the binary one. Pure. Specification, section 2.2.

Of the extensions only the checksum and the unique id are looked at. All others are skipped by their
length. The block of `LOCAL` and of `UNSPEC` is skipped as a whole: "the receiver must ... discard
the protocol block including the family which is ignored".
"""

from ipaddress import IPv6Address
from typing import Final

from proxy.proxy_protocol.crc32c import crc32c
from proxy.proxy_protocol.header import Endpoints, HeaderFault, ProxyHeader, ProxyHeaderError, Relayed
from proxy.proxy_protocol.tlvs import Tlv, split
from proxy.proxy_protocol.version1 import shown_address

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_BYTES: Final = 16
"""Signature, version and command, family and transport, length."""
LONGEST_HEADER: Final = 16_384
"""Bytes. An ML-DSA-87 client certificate, which a balancer may add, takes 8 KiB; HAProxy writes no
more than one buffer, 16 KiB."""

_VERSION: Final = 2
_LOCAL: Final = 0
_PROXY: Final = 1
_TCP_IPV4: Final = 0x11
_TCP_IPV6: Final = 0x21
# Family -> bytes of its addresses, with ports: AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX.
_ADDRESS_BYTES: Final = (0, 12, 36, 216)
_TRANSPORTS: Final = 3  # UNSPEC, STREAM, DGRAM
_CHECKSUM_BYTES: Final = 4
_LONGEST_ID: Final = 128  # section 2.2.5: "an opaque byte sequence of up to 128 bytes"


def announced_bytes(fixed: bytes) -> int:
    """The length of the whole header, by its first `FIXED_BYTES`.

    Raises `ProxyHeaderError` if no header of this version begins so.
    """
    version = fixed[12] >> 4
    command = fixed[12] & 0xF
    family = fixed[13] >> 4
    transport = fixed[13] & 0xF
    if version != _VERSION:
        raise ProxyHeaderError(HeaderFault.VERSION, str(version), str(_VERSION))
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(HeaderFault.COMMAND, str(command), "0 (LOCAL) or 1 (PROXY)")
    if family >= len(_ADDRESS_BYTES) or transport >= _TRANSPORTS:
        raise ProxyHeaderError(HeaderFault.FAMILY, f"0x{fixed[13]:02x}")
    size = FIXED_BYTES + int.from_bytes(fixed[14:16])
    if size > LONGEST_HEADER:
        raise ProxyHeaderError(HeaderFault.TOO_LONG, f"{size} bytes", f"at most {LONGEST_HEADER}")
    least = FIXED_BYTES + _ADDRESS_BYTES[family]
    if command == _PROXY and size < least:
        raise ProxyHeaderError(HeaderFault.TOO_SHORT, f"{size} bytes", f"at least {least}")
    return size


def read_binary(header: bytes) -> ProxyHeader:
    """Read a whole header, which `announced_bytes` has accepted. Raises `ProxyHeaderError`."""
    family = header[13]
    block = header[FIXED_BYTES:]
    if header[12] & 0xF == _LOCAL:
        return ProxyHeader(Relayed.LOCAL)
    if not family >> 4:
        return ProxyHeader(Relayed.UNKNOWN)
    unique_id = _extensions(header, FIXED_BYTES + _ADDRESS_BYTES[family >> 4])
    if family == _TCP_IPV4:
        addresses = [".".join(map(str, block[start : start + 4])) for start in (0, 4)]
        return ProxyHeader(Relayed.CLIENT, _endpoints(addresses, block[8:12]), unique_id)
    if family == _TCP_IPV6:
        addresses = [shown_address(IPv6Address(block[start : start + 16])) for start in (0, 16)]
        return ProxyHeader(Relayed.CLIENT, _endpoints(addresses, block[32:36]), unique_id)
    # valid, and nothing that a client of ours can have: "falls back to the UNSPEC mode"
    return ProxyHeader(Relayed.UNKNOWN, None, unique_id)


def _endpoints(addresses: list[str], ports: bytes) -> Endpoints:
    return Endpoints(addresses[0], int.from_bytes(ports[:2]), addresses[1], int.from_bytes(ports[2:]))


def _extensions(header: bytes, start: int) -> bytes:
    """Check the checksum, if there is one. Returns the unique id, empty if there is none."""
    unique_id = b""
    has_checksum = False
    for kind, place, value in split(header, start):
        if kind == Tlv.CRC32C:
            if has_checksum or len(value) != _CHECKSUM_BYTES:
                raise ProxyHeaderError(HeaderFault.TLV, f"a checksum of {len(value)} octets", "one of 4 octets")
            has_checksum = True
            # section 2.2.3: of the header with zeros in place of the checksum
            computed = crc32c(header[:place] + bytes(_CHECKSUM_BYTES) + header[place + _CHECKSUM_BYTES :])
            if computed != int.from_bytes(value):
                raise ProxyHeaderError(HeaderFault.CHECKSUM, value.hex(), f"{computed:08x}")
        elif kind == Tlv.UNIQUE_ID:
            if unique_id or len(value) > _LONGEST_ID:
                raise ProxyHeaderError(HeaderFault.TLV, f"a unique id of {len(value)} octets", "one of at most 128")
            unique_id = value
    return unique_id
