"""The examples of RFC 7541 Appendix C, and blocks for tests of the decoder and the encoder."""

from dataclasses import dataclass

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from proxy.http.head import Header

_huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def huffman(text: bytes) -> bytes:
    """The Huffman code of a text, by another's code."""
    return bytes(_huffman.encode(text))


def number(first: int, bits: int, value: int) -> bytes:
    """A number as RFC 7541 5.1 writes it."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    octets = [first | most]
    value -= most
    while value >= 0x80:
        octets.append(value % 0x80 + 0x80)
        value //= 0x80
    return bytes([*octets, value])


def plain(text: bytes) -> bytes:
    """A string as it is."""
    return number(0x00, 7, len(text)) + text


def coded(text: bytes) -> bytes:
    """A string in its Huffman code."""
    return number(0x80, 7, len(huffman(text))) + huffman(text)


def indexed(name: bytes, value: bytes) -> bytes:
    """A literal field that the decoder puts into its table."""
    return b"\x40" + plain(name) + plain(value)


def passing(name: bytes, value: bytes) -> bytes:
    """A literal field without indexing."""
    return b"\x00" + plain(name) + plain(value)


@dataclass(frozen=True, slots=True)
class Example:
    """One block of Appendix C, and how full the table is behind it."""

    block: bytes
    fields: list[Header]
    size: int


def _example(block: str, size: int, *fields: str) -> Example:
    lines = [field.encode().rpartition(b": ") for field in fields]
    return Example(bytes.fromhex(block), [(name, value) for name, _, value in lines], size)


_REQUESTS = (
    (57, ":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"),
    (110, ":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"),
    (
        *(164, ":method: GET", ":scheme: https", ":path: /index.html"),
        *(":authority: www.example.com", "custom-key: custom-value"),
    ),
)
_TIMES = ("date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT")
_PLACE = "location: https://www.example.com"
_COOKIE = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
_RESPONSES = (
    (222, ":status: 302", "cache-control: private", _TIMES[0], _PLACE),
    (222, ":status: 307", "cache-control: private", _TIMES[0], _PLACE),
    (215, ":status: 200", "cache-control: private", _TIMES[1], _PLACE, "content-encoding: gzip", _COOKIE),
)


def _examples(lists: tuple[tuple[int | str, ...], ...], *blocks: str) -> list[Example]:
    return [_example(block, int(size), *map(str, fields)) for block, (size, *fields) in zip(blocks, lists, strict=True)]


SINGLE_FIELDS = [
    _example("400a637573746f6d2d6b65790d637573746f6d2d686561646572", 55, "custom-key: custom-header"),
    _example("040c2f73616d706c652f70617468", 0, ":path: /sample/path"),
    _example("100870617373776f726406736563726574", 0, "password: secret"),
    _example("82", 0, ":method: GET"),
]
"""C.2"""
PLAIN_REQUESTS = _examples(
    _REQUESTS,
    "828684410f7777772e6578616d706c652e636f6d",
    "828684be58086e6f2d6361636865",
    "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
)
"""C.3"""
CODED_REQUESTS = _examples(
    _REQUESTS,
    "828684418cf1e3c2e5f23a6ba0ab90f4ff",
    "828684be5886a8eb10649cbf",
    "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
)
"""C.4"""
PLAIN_RESPONSES = _examples(
    _RESPONSES,
    "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
    "6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
    "4803333037c1c0bf",
    "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d"
    "4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
)
"""C.5, with a table of 256 octets"""
CODED_RESPONSES = _examples(
    _RESPONSES,
    "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
    "4883640effc1c0bf",
    "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960"
    "d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
)
"""C.6, with a table of 256 octets"""
RESPONSE_TABLE_BYTES = 256
