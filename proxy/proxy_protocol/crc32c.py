"""The checksum CRC-32C (Castagnoli), RFC 9260 appendix A. Pure."""

from typing import Final

# The polynomial 0x1EDC6F41 with its bits in reverse order.
_POLYNOMIAL: Final = 0x82F63B78
_ALL_BITS: Final = 0xFFFFFFFF


def _entry(octet: int) -> int:
    for _ in range(8):
        octet = octet >> 1 ^ (_POLYNOMIAL if octet & 1 else 0)
    return octet


_TABLE: Final = tuple(_entry(octet) for octet in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of `data`, a number of 32 bits."""
    crc = _ALL_BITS
    for octet in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ octet) & 0xFF]
    return crc ^ _ALL_BITS
