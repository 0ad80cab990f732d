"""The fields that both sides know from the start (RFC 7541 Appendix A), and entries of tables."""

from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

# What an entry costs beside its octets (RFC 7541 4.1); a field of a list too (RFC 9113 6.5.2).
ENTRY_BYTES: Final = 32

AnyHeader = Any
"""A `Header` that compiled code leaves alone. mypyc takes a tuple of a known type apart, and makes
a new one wherever an object is wanted: 25 ns each time."""


@mypyc_attr(acyclic=True, free_list_len=1)
class TableEntry:
    """A field, and what its use costs: `octets` counts its name and its value.

    `is_crumb` says whether it may be one piece of a `cookie` field (RFC 9113 8.2.3).
    """

    def __init__(self, name: bytes, value: bytes) -> None:
        self.name = name
        self.field: AnyHeader = (name, value)
        self.octets: i64 = len(name) + len(value)
        self.is_crumb = len(name) == 6 and name == b"cookie"


STATIC_ENTRIES: Final = [
    TableEntry(name, value)
    for name, value in (
        (b":authority", b""),
        (b":method", b"GET"),
        (b":method", b"POST"),
        (b":path", b"/"),
        (b":path", b"/index.html"),
        (b":scheme", b"http"),
        (b":scheme", b"https"),
        (b":status", b"200"),
        (b":status", b"204"),
        (b":status", b"206"),
        (b":status", b"304"),
        (b":status", b"400"),
        (b":status", b"404"),
        (b":status", b"500"),
        (b"accept-charset", b""),
        (b"accept-encoding", b"gzip, deflate"),
        (b"accept-language", b""),
        (b"accept-ranges", b""),
        (b"accept", b""),
        (b"access-control-allow-origin", b""),
        (b"age", b""),
        (b"allow", b""),
        (b"authorization", b""),
        (b"cache-control", b""),
        (b"content-disposition", b""),
        (b"content-encoding", b""),
        (b"content-language", b""),
        (b"content-length", b""),
        (b"content-location", b""),
        (b"content-range", b""),
        (b"content-type", b""),
        (b"cookie", b""),
        (b"date", b""),
        (b"etag", b""),
        (b"expect", b""),
        (b"expires", b""),
        (b"from", b""),
        (b"host", b""),
        (b"if-match", b""),
        (b"if-modified-since", b""),
        (b"if-none-match", b""),
        (b"if-range", b""),
        (b"if-unmodified-since", b""),
        (b"last-modified", b""),
        (b"link", b""),
        (b"location", b""),
        (b"max-forwards", b""),
        (b"proxy-authenticate", b""),
        (b"proxy-authorization", b""),
        (b"range", b""),
        (b"referer", b""),
        (b"refresh", b""),
        (b"retry-after", b""),
        (b"server", b""),
        (b"set-cookie", b""),
        (b"strict-transport-security", b""),
        (b"transfer-encoding", b""),
        (b"user-agent", b""),
        (b"vary", b""),
        (b"via", b""),
        (b"www-authenticate", b""),
    )
]
"""The entry with index 1 comes first."""
STATIC_COUNT: Final = 61
