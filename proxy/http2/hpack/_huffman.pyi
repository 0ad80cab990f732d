"""What `_huffman.c` has: see `huffman.read_codes`."""

from proxy.http2.hpack.huffman import Groups

def read_codes(
    data: bytes, start: int, end: int, limit: int, lengths: bytes, symbols: bytes, groups: Groups, /
) -> bytes | int | None: ...
