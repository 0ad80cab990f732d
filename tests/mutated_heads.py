"""Heads as clients and servers send them in a row, with faults in between: for readers that remember earlier ones.

Each head is like the one before it, but for lines that come, go or change. Every second one has a fault: octets that
are added, changed or left out anywhere, a line end that is none, or a line that means something else or nothing. The
next head has it no more.
"""

import random
from collections.abc import Iterator
from typing import Final

IN_REQUEST_LINES: Final = (
    *[b"GET /a HTTP/1.1"] * 12,
    b"GET /b?c=d HTTP/1.1",
    b"POST /a HTTP/1.1",
    b"HEAD /a HTTP/1.1",
    b"GET /a HTTP/1.0",
    b"GET https://chat.test/a HTTP/1.1",
    b"GET https://other.test/a HTTP/1.1",
    b"GET /%00 HTTP/1.1",
    b"BREW /a HTTP/1.1",
    b"GET /a HTTP/2.0",
)
USUAL_IN_REQUESTS: Final = (
    b"Host: chat.test",
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
    b"Accept: */*",
    b"Cookie: a=b; c=d",
    b"Authorization: Bearer abc",
    b'If-None-Match: "1"',
    b"traceparent: 00-1-2-01",
    b"X-Forwarded-For: 192.0.2.1",
    b"X_Forwarded_For: 192.0.2.2",
    b"Keep-Alive: 5",
    b"x-a:1",
    b"X-A:\t 2 ",
    b"X-Empty:",
    b"X-Octets: \x80\xff",
    b"Via: 1.1 other",
)
ODD_IN_REQUESTS: Final = (
    b"Host: chat.test",
    b"Host: other.test",
    b"Connection: keep-alive",
    b"Connection: close, X-A",
    b"Connection: close, X_Forwarded_For",
    b"Connection: host",
    b"Content-Length: 5",
    b"Content-Length: 6",
    b"Content-Length: +5",
    b"Content-Length: 99999999999999999999",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Expect: 100-continue",
    b"TE: trailers",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
    b"X-Long: " + b"x" * 320,
    b" folded",
    b": nameless",
    b"no colon",
    b"Accept",
    b"Host",
)
IN_STATUS_LINES: Final = (
    *[b"HTTP/1.1 200 OK"] * 12,
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 204 ",
    b"HTTP/1.1 205 Reset",
    b"HTTP/1.0 404",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 099 No",
)
USUAL_IN_RESPONSES: Final = (
    b"Content-Length: 5",
    b"Content-Type: application/json",
    b"Server: chat",
    b"Date: Wed, 25 Nov 2026 02:05:00 GMT",
    b"Date: Wed, 25 Nov 2026 02:05:01 GMT",
    b'ETag: "1"',
    b'ETag: "2"',
    b"X-Request-Id: 1",
    b"Set-Cookie: a=b",
    b"WWW-Authenticate: Basic",
    b"Keep-Alive: 5",
    b"X-A:  1 ",
    b"X-Octets: \x80\xff",
    b"X-Policy: " + b"x" * 140,
)
ODD_IN_RESPONSES: Final = (
    b"Content-Length: 0",
    b"Content-Length: 05",
    b"Content-Length: 6",
    b"Content-Length: 7, 7",
    b"Content-Length: 1000000000000000000",
    b"Content-Length: " + b"1" * 5_000,
    b"Transfer-Encoding: chunked",
    b"Trailer: X-Sum",
    b"Connection: close",
    b"Connection: X-A, Date",
    b"X-Long: " + b"x" * 320,
    b" folded",
    b": nameless",
    b"X Y: z",
    b"Server",
)
# What a fault is made of: what parsers have been seen to disagree about, and anything.
_OCTETS: Final = (b"\r", b"\n", b"\0", b"\t", b" ", b":", b",", b"\x0b", b"\x7f", b"\x85", b"\xff", b"0")
_LINE_ENDS: Final = (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n ", b"\r\n\r\n", b"")


def heads(
    seed: int, count: int, starts: tuple[bytes, ...], usual: tuple[bytes, ...], odd: tuple[bytes, ...]
) -> Iterator[bytes]:
    """Make `count` heads, the same for each `seed`. A good head has the first of the usual lines."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    lines = list(usual[:5])
    for number in range(count):
        start = starts[0] if chance.random() < 0.7 else chance.choice(starts)
        if number % 2:
            yield _with_fault(chance, start, lines, odd)
            continue
        if chance.random() < 0.1:
            lines = [usual[0], *chance.sample(usual[1:], 4), *chance.sample(odd, chance.randrange(2))]
            chance.shuffle(lines)
        for _ in range(chance.randrange(3)):
            _change(chance, lines, usual[0], usual[1:], number)
        yield b"".join([line + b"\r\n" for line in (start, *lines)]) + b"\r\n"


def _change(chance: random.Random, lines: list[bytes], first: bytes, usual: tuple[bytes, ...], number: int) -> None:
    place = chance.randrange(len(lines))
    change = chance.randrange(4)
    if change == 0:
        lines.insert(place, chance.choice(usual))
    elif lines[place] == first:
        pass
    elif change == 1:
        del lines[place]
    elif change == 2:
        lines[place] = chance.choice(usual)
    else:
        lines[place] = lines[place].rstrip(b"0123456789") + b"%d" % number


def _with_fault(chance: random.Random, start: bytes, lines: list[bytes], odd: tuple[bytes, ...]) -> bytes:
    if chance.random() < 0.3:
        line, place = chance.choice(odd), chance.randrange(len(lines) + 1)
        name = line.partition(b":")[0]
        is_another = chance.random() < 0.3
        others = [one for one in lines[place:] if is_another or one.partition(b":")[0] != name]
        before = [one for one in lines[:place] if is_another or one.partition(b":")[0] != name]
        return b"".join([one + b"\r\n" for one in (start, *before, line, *others)]) + b"\r\n"
    pieces = [piece for line in (start, *lines) for piece in (line, b"\r\n")] + [b"\r\n"]
    place = chance.randrange(len(pieces))
    piece = pieces[place]
    if piece == b"\r\n":
        pieces[place] = chance.choice(_LINE_ENDS)
    else:
        at = chance.randrange(len(piece) + 1)
        octet = chance.choice(_OCTETS) if chance.random() < 0.7 else bytes([chance.randrange(256)])
        pieces[place] = piece[:at] + chance.choice((octet, b"")) + piece[at + chance.randrange(2) :]
    return b"".join(pieces)
