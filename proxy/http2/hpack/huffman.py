"""The Huffman code of header strings: code -> octets (RFC 7541 5.2 and Appendix B).

Theory of operation. The code is canonical: ordered by length and then by symbol, each code is the
one before plus one. So the symbols of each length are all that has to be written down. The decoder
looks up the next thirteen bits in a table, which has nearly all codes of texts. A longer one is
found by the first code of each length. Each step takes five bits or more, so the work is linear in
what was sent. This loop is in C, too (`_huffman.c`), and runs there where that was built.

Only the decoder is here: the proxy sends strings as they are (`encoder`).
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from mypy_extensions import i64

from proxy.http2.wire.errors import ConnectionFault, ErrorCode

Groups: TypeAlias = tuple[tuple[int, bytes], ...]
"""The symbols of each length in bits, in the order of their codes."""

# Appendix B. The code for the end of a string is the last one of 30 bits.
_SYMBOLS: Final[Groups] = (
    (5, b"012aceiost"),
    (6, b" %-./3456789=A_bdfghlmnpru"),
    (7, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, b"&*,;XZ"),
    (10, b'!"()?'),
    (11, b"'+|"),
    (12, b"#>"),
    (13, b"\0$@[]~"),
    (14, b"^}"),
    (15, b"<`{"),
    (19, bytes.fromhex("5cc3d0")),
    (20, bytes.fromhex("808283a2b8c2e0e2")),
    (21, bytes.fromhex("99a1a7acb0b1b3d1d8d9e3e5e6")),
    (22, bytes.fromhex("8184858688929a9ca0a3a4a9aaadb2b5b9babbbdbec4c6e4e8e9")),
    (23, bytes.fromhex("0187898a8b8c8d8f93959697989b9d9ea5a6a8aeafb4b6b7bcbfc5e7ef")),
    (24, bytes.fromhex("098e9091949fabced7e1eced")),
    (25, bytes.fromhex("c7cfeaeb")),
    (26, bytes.fromhex("c0c1c8c9cacdd2d5dadbeef0f2f3ff")),
    (27, bytes.fromhex("cbccd3d4d6dddedff1f4f5f6f7f8fafbfcfdfe")),
    (28, bytes.fromhex("020304050607080b0c0e0f1011121314151718191a1b1c1d1e1f7fdcf9")),
    (30, bytes.fromhex("0a0d16")),
)
_LONGEST: Final = 30
# How many bits a look-up sees.
_LOOK: Final = 13
_LOOK_MASK: Final = (1 << _LOOK) - 1
# RFC 7541 5.2: fewer than eight ones fill up the last octet.
_MOST_PADDING: Final = 7


def _seen(octets: Callable[[int, bytes], bytes]) -> bytes:
    """A table of what a look-up sees, with an octet for each symbol; 0 for a longer code."""
    table = b""
    for length, group in _SYMBOLS:
        table += b"".join([bytes([octet]) * (1 << _LOOK >> length) for octet in octets(length, group)])
    return table.ljust(1 << _LOOK, b"\0")


_LENGTHS: Final = _seen(lambda length, group: bytes([length]) * len(group))
_FIRST_SYMBOLS: Final = _seen(lambda _, group: group)


def decode_huffman(data: bytes, start: i64, end: i64, limit: i64) -> bytes | None:
    """Decode data[start:end].

    Returns None if that has more than `limit` octets; then only `limit` of them were built. Raises
    ConnectionFault.
    """
    text = _read_codes(data, start, end, limit, _LENGTHS, _FIRST_SYMBOLS, _SYMBOLS)
    if isinstance(text, int):
        if text > _MOST_PADDING:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "Huffman string with an end inside, or too much padding")
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "padding of a Huffman string is not of ones")
    return text


def read_codes(  # noqa: PLR0913 - three of them are the code
    data: bytes, start: i64, end: i64, limit: i64, lengths: bytes, symbols: bytes, groups: Groups
) -> bytes | int | None:
    """Decode the codes of data[start:end]. Returns their symbols, or None for more than `limit`.

    If what is left is no padding (RFC 7541 5.2), it returns how many bits that is.
    """
    text = bytearray()
    count: i64 = 0
    window: i64 = 0  # the next bits, with ones behind the last octet
    bits: i64 = 0  # how many they are
    left: i64 = (end - start) * 8
    at = start
    while True:
        while bits < _LONGEST:
            window = (window & 0x3FFF_FFFF) << 8 | (data[at] if at < end else 0xFF)
            bits += 8
            at += 1
        look = window >> (bits - _LOOK) & _LOOK_MASK
        length: i64 = lengths[look]
        symbol: i64 = symbols[look]
        if length == 0 and left > _LOOK:  # not where ones fill up the last octet
            found = _any_code(window >> (bits - _LONGEST) & 0x3FFF_FFFF, groups)
            length = found >> 8
            symbol = found & 0xFF
        if length == 0 or length > left:
            if left > _MOST_PADDING or (left > 0 and ~data[end - 1] & 0xFF >> (8 - left)):
                return left
            return bytes(text) if count <= limit else None
        if count < limit:
            text.append(symbol)
        count += 1
        left -= length
        bits -= length


def _any_code(bits: i64, groups: Groups) -> i64:
    """The length of the first code of `_LONGEST` bits, times 256, and its symbol; 0 for the end of
    a string, which is all ones.
    """
    code: i64 = 0
    before: i64 = 0
    for length, group in groups:
        code <<= length - before
        before = length
        place = (bits >> (_LONGEST - before)) - code
        if place < len(group):
            return before << 8 | group[place]
        code += len(group)
    return 0


def _fastest() -> Callable[[bytes, int, int, int, bytes, bytes, Groups], bytes | int | None]:
    try:
        from proxy.http2.hpack._huffman import read_codes as native
    except ImportError:
        return read_codes
    return native  # pragma: no cover  tests of compiled code take it


_read_codes: Final = _fastest()
