"""Header compression beside others: CPU µs to read a request and to write a response.

    python -m tests.bench.headers       ours, the `hpack` package, libnghttp2 through cffi

Ours runs compiled where the compiled code comes first in PYTHONPATH (`hatch_build.py`).
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import cffi
from hpack import Decoder, Encoder, NeverIndexedHeaderTuple

from proxy.http.head import Header
from proxy.http2.hpack.decoder import BlockLimits, HeaderDecoder
from proxy.http2.hpack.encoder import HeaderEncoder

_COUNT: Final = 2_000
_ROUNDS: Final = 5
_LIMITS: Final = BlockLimits(count=100, list_bytes=32_768, field_bytes=8_192)
_AGENT: Final = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
_SESSION: Final = b"session=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.abc; theme=dark; csrftoken=%016x"
_DECLARATIONS: Final = """
typedef struct inflater inflater; typedef struct deflater deflater;
typedef struct { uint8_t *name; uint8_t *value; size_t name_length; size_t value_length; uint8_t flags; } field;
int nghttp2_hd_inflate_new(inflater **); int nghttp2_hd_deflate_new(deflater **, size_t);
ssize_t nghttp2_hd_inflate_hd2(inflater *, field *, int *flags, const uint8_t *, size_t, int is_final);
int nghttp2_hd_inflate_end_headers(inflater *);
ssize_t nghttp2_hd_deflate_hd(deflater *, uint8_t *, size_t, const field *, size_t);
"""


def request(place: int) -> list[Header]:
    """A request of a browser; each `place` has its own path and cookie."""
    return [
        *((b":method", b"GET"), (b":path", b"/api/v1/messages?before=%d" % (1_000_000 + place * 7_919))),
        *((b":scheme", b"https"), (b":authority", b"chat.example.org"), (b"user-agent", _AGENT)),
        *((b"accept", b"application/json, text/plain, */*"), (b"accept-language", b"en-US,en;q=0.9")),
        *((b"accept-encoding", b"gzip, deflate, br, zstd"), (b"origin", b"https://chat.example.org")),
        (b"referer", b"https://chat.example.org/channels/42"),
        (b"cookie", _SESSION % (place * 0x123456789ABCDEF % 2**64)),
        *((b"sec-fetch-dest", b"empty"), (b"sec-fetch-mode", b"cors"), (b"sec-fetch-site", b"same-origin")),
        (b"cache-control", b"no-cache"),
    ]


def response(place: int) -> list[Header]:
    """A response with its own identifier; ten have the same date."""
    return [
        *((b":status", b"200"), (b"content-type", b"application/json"), (b"content-length", b"126")),
        (b"date", b"Fri, 27 Nov 2026 07:%02d:%02d GMT" % (place // 600 % 60, place // 10 % 60)),
        *((b"server", b"chat"), (b"x-request-id", b"fc0c1499f71ba2e1-%d" % place), (b"via", b"1.1 plexigate")),
    ]


def _blocks(lists: list[list[Header]]) -> list[bytes]:
    """What a browser sends: it indexes neither the path nor the cookie."""
    encoder = Encoder()
    passing = (b":path", b"cookie")
    return [
        bytes(encoder.encode([NeverIndexedHeaderTuple(*one) if one[0] in passing else one for one in fields]))
        for fields in lists
    ]


def _ours() -> Callable[[bytes], object]:
    decoder = HeaderDecoder(4_096)
    return lambda block: decoder.decode(block, _LIMITS)


class _Nghttp2:
    """HPACK of libnghttp2; each field is copied once."""

    def __init__(self) -> None:
        self._ffi = cffi.FFI()
        self._ffi.cdef(_DECLARATIONS)
        self._library: Any = self._ffi.dlopen("libnghttp2.so.14")

    def decoder(self) -> Callable[[bytes], object]:
        ffi, library = self._ffi, self._library
        made = ffi.new("inflater **")
        library.nghttp2_hd_inflate_new(made)
        field, flags, text = ffi.new("field *"), ffi.new("int *"), ffi.buffer

        def decode(block: bytes) -> object:
            data, at, fields = ffi.from_buffer("uint8_t[]", block), 0, []
            flags[0] = 0
            while not flags[0] & 1:
                flags[0] = 0
                at += library.nghttp2_hd_inflate_hd2(made[0], field, flags, data + at, len(block) - at, 1)
                if flags[0] & 2:
                    fields.append((text(field.name, field.name_length)[:], text(field.value, field.value_length)[:]))
            library.nghttp2_hd_inflate_end_headers(made[0])
            return fields

        return decode

    def encoder(self) -> Callable[[list[Header]], bytes]:
        ffi, library = self._ffi, self._library
        made, room = ffi.new("deflater **"), ffi.new("uint8_t[4096]")
        library.nghttp2_hd_deflate_new(made, 4_096)

        def encode(fields: list[Header]) -> bytes:
            array, kept = ffi.new("field[]", len(fields)), []
            for slot, pair in zip(array, fields, strict=True):
                slot.name, slot.value = both = [ffi.from_buffer("uint8_t[]", one) for one in pair]
                slot.name_length, slot.value_length = map(len, pair)
                kept.append(both)
            return bytes(ffi.buffer(room, library.nghttp2_hd_deflate_hd(made[0], room, 4_096, array, len(fields)))[:])

        return encode


def _microseconds(make: Callable[[], Callable[[Any], object]], items: list[Any]) -> float:
    """The best of some rounds, each on a new connection; per item."""
    spent = []
    for _ in range(_ROUNDS):
        work = make()
        before = time.process_time_ns()
        for item in items:
            work(item)
        spent.append(time.process_time_ns() - before)
    return min(spent) / len(items) / 1_000


def _our_encoder() -> Callable[[list[Header]], bytes]:
    encoder = HeaderEncoder()
    return lambda fields: encoder.encode([fields])


def main() -> None:
    """Print a table."""
    nghttp2 = _Nghttp2()
    changing, same = _blocks([request(place) for place in range(_COUNT)]), _blocks([request(0)] * _COUNT)
    responses = [response(place) for place in range(_COUNT)]
    decoders = (_ours, lambda: Decoder().decode, nghttp2.decoder)
    encoders = (_our_encoder, lambda: Encoder().encode, nghttp2.encoder)
    rows: list[tuple[str, tuple[Callable[[], Callable[[Any], object]], ...], list[Any]]] = [
        ("request, the same block", decoders, same),
        ("request, new path and cookie", decoders, changing),
        ("response, new date and identifier", encoders, responses),
    ]
    sys.stdout.write(f"{'CPU µs':36}{'ours':>9}{'hpack':>9}{'nghttp2':>9}\n")
    for name, makers, items in rows:
        sys.stdout.write(f"{name:36}{''.join(f'{_microseconds(make, items):9.2f}' for make in makers)}\n")


if __name__ == "__main__":
    main()
