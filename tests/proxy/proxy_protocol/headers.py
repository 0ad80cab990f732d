"""Writes headers of version 2, also wrong ones, without the code that is tested."""

from ipaddress import ip_address

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UDP4, UNIX, UNSPEC = 0x11, 0x21, 0x12, 0x31, 0x00


def version2(family: int, block: bytes, command: int = PROXY, length: int | None = None) -> bytes:
    """A header with this block, and a length that may lie."""
    size = len(block) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2) + block


def ends(source: str, destination: str, source_port: int = 56_324, destination_port: int = 443) -> bytes:
    """The addresses and ports of a block."""
    packed = [ip_address(one).packed for one in (source, destination)]
    return b"".join(packed) + source_port.to_bytes(2) + destination_port.to_bytes(2)


def extension(kind: int, value: bytes) -> bytes:
    """A TLV."""
    return bytes([kind]) + len(value).to_bytes(2) + value


def checksummed(family: int, block: bytes) -> bytes:
    """A header whose last TLV is its checksum, computed bit by bit."""
    header = version2(family, block + extension(0x03, bytes(4)))
    remainder = 0xFFFFFFFF
    for octet in header:
        for bit in range(8):
            is_odd = (remainder ^ octet >> bit) & 1
            remainder = remainder >> 1 ^ (0x82F63B78 if is_odd else 0)
    return header[:-4] + (remainder ^ 0xFFFFFFFF).to_bytes(4)


IPV4_ENDS = ends("192.0.2.1", "198.51.100.2")
IPV6_ENDS = ends("2001:db8::1", "2001:db8::2")
