"""The Huffman code of header strings: code -> octets (RFC 7541 5.2 and Appendix B).

Theory of operation. The code is canonical: ordered by length and then by symbol, each code is the
one before plus one. So the symbols of each length are all that has to be written down. The decoder
looks up the next thirteen bits in a table, which finds one or two whole codes: two of nearly all
that texts have. The first code of each length finds those of more bits. Each step takes five bits
or more, so the work is linear in what was sent. What takes most of it is to join the octets that
are found, so four look-ups are joined at once.

Only the decoder is here: the proxy sends strings as they are (`encoder`).
"""

from typing import Final

from mypy_extensions import i64

from proxy.http2.wire.errors import ConnectionFault, ErrorCode

# Appendix B: the symbols of each length in bits. The code for the end of a string is the last one
# of 30 bits.
_SYMBOLS: Final = (
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
_SHORTEST: Final = 5
_LONGEST: Final = 30
# What one look-up sees, and what four see.
_LOOK: Final = 13
_LOOK_MASK: Final = (1 << _LOOK) - 1
_FOUR_LOOKS: Final = 4 * _LOOK
_OCTETS: Final = [bytes([octet]) for octet in range(256)]


class _LongCodes:
    """The codes of one length that a look-up does not see as a whole."""

    def __init__(self, length: i64, first: i64, symbols: bytes) -> None:
        self.length: i64 = length
        self.first: i64 = first
        self.symbols = symbols


class _CodeTables:
    """For the bits that a look-up sees what they begin with: one symbol, or two, and the length of
    their codes; 0 for a longer code.
    """

    def __init__(self) -> None:
        firsts = bytearray(1 << _LOOK)
        symbols = bytearray(1 << _LOOK)
        self.long_codes: list[_LongCodes] = []
        code = 0
        before = 0
        for length, group in _SYMBOLS:
            code <<= length - before
            before = length
            if length > _LOOK:
                self.long_codes.append(_LongCodes(length, code, group))
                code += len(group)
                continue
            same = 1 << (_LOOK - length)
            for symbol in group:
                symbols[code * same : (code + 1) * same] = bytes([symbol]) * same
                firsts[code * same : (code + 1) * same] = bytes([length]) * same
                code += 1
        self.symbols = bytes(symbols)
        self.firsts = bytes(firsts)
        """The length of the first code alone."""
        self.lengths = self.firsts
        self.octets = [_OCTETS[symbol] for symbol in self.symbols]
        self._pair()

    def _pair(self) -> None:
        """Take a second code into each look-up that sees it as a whole."""
        lengths = bytearray(self.firsts)
        pairs: dict[bytes, bytes] = {}
        for bits in range(1 << _LOOK):
            length = self.firsts[bits]
            rest = bits << length & ((1 << _LOOK) - 1)
            second = self.firsts[rest]
            if length and second and length + second <= _LOOK:
                pair = bytes((self.symbols[bits], self.symbols[rest]))
                self.octets[bits] = pairs.setdefault(pair, pair)
                lengths[bits] += second
        self.lengths = bytes(lengths)


_tables: Final = _CodeTables()


def decode_huffman(data: bytes, start: i64, end: i64, limit: i64) -> bytes | None:
    """Decode data[start:end].

    Returns None if that has more than `limit` octets; then only `limit` of them were built. Raises
    ConnectionFault.
    """
    octets = _tables.octets
    lengths = _tables.lengths
    pieces: list[bytes] = []
    count: i64 = 0
    window: i64 = 0  # the next bits, with ones behind the last octet
    bits: i64 = 0  # how many they are
    left: i64 = (end - start) * 8  # how many of the string are not decoded
    at = start
    while True:
        while bits < _FOUR_LOOKS:
            window = window << 8 | (data[at] if at < end else 0xFF)
            bits += 8
            at += 1
        rest = bits
        first = window >> (rest - _LOOK)
        rest -= lengths[first]
        second = window >> (rest - _LOOK) & _LOOK_MASK
        rest -= lengths[second]
        third = window >> (rest - _LOOK) & _LOOK_MASK
        rest -= lengths[third]
        fourth = window >> (rest - _LOOK) & _LOOK_MASK
        rest -= lengths[fourth]
        # behind a code that is too long nothing else is looked at
        if lengths[fourth] and bits - rest <= left:
            piece = b"%b%b%b%b" % (octets[first], octets[second], octets[third], octets[fourth])
        else:
            length: i64 = lengths[first]
            if 0 < length <= left:
                piece = octets[first]
            else:
                one = _next_code(window, bits, left)
                if one == 0:
                    break
                length = one >> 8
                piece = _OCTETS[one & 0xFF]
            rest = bits - length
        left -= bits - rest
        bits = rest
        # not "& (1 << bits) - 1": mypyc makes a C int of that 1, which has 31 bits
        window ^= window >> bits << bits
        count += len(piece)
        if count <= limit:
            pieces.append(piece)
    _check_padding(window, bits, left)
    return b"".join(pieces) if count <= limit else None


def _next_code(window: i64, bits: i64, left: i64) -> i64:
    """The length of the next code, times 256, and its symbol; 0 if the string does not have it."""
    # shorter than any code, or padding, as nearly every string ends
    if left < _SHORTEST or (left <= 7 and window >> (bits - left) == 0x7F >> (7 - left)):
        return 0
    head = window >> (bits - _LOOK)
    length: i64 = _tables.firsts[head]
    symbol: i64 = _tables.symbols[head]
    if length == 0:
        codes = _codes_of(window, bits)
        if codes is None:
            return 0
        length = codes.length
        symbol = codes.symbols[(window >> (bits - length)) - codes.first]
    return length << 8 | symbol if length <= left else 0


def _codes_of(window: i64, bits: i64) -> _LongCodes | None:
    """The codes that the next one belongs to; None for the end of the string, which is all ones."""
    for codes in _tables.long_codes:
        if (window >> (bits - codes.length)) - codes.first < len(codes.symbols):
            return codes
    return None


def _check_padding(window: i64, bits: i64, left: i64) -> None:
    """Judge what is left of a string (RFC 7541 5.2): fewer than eight ones fill up its last octet.

    More is refused, and so is the code for the end of a string. Raises ConnectionFault.
    """
    if left > 7:
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "Huffman string with an end inside, or too much padding")
    if window >> (bits - left) != 0x7F >> (7 - left):
        raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "padding of a Huffman string is not of ones")
