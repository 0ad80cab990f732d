"""What a PROXY header says, and why one is refused. Pure.

The rules are those of HAProxy's `proxy-protocol.txt`, called "the specification" in this package.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Both ends of a TCP connection. An address is text; an IPv4-mapped one stands as IPv4."""

    source: str
    source_port: int
    destination: str
    destination_port: int


class Relayed(Enum):
    """On whose behalf the sender of a header connects."""

    CLIENT = auto()
    """A client with known addresses."""
    UNKNOWN = auto()
    """A client whose addresses the header does not tell: `UNKNOWN`, `UNSPEC`, a Unix socket."""
    LOCAL = auto()
    """The sender itself, as for its health checks."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    relayed: Relayed
    endpoints: Endpoints | None = None
    """Of the connection to the sender, for `Relayed.CLIENT` only."""
    unique_id: bytes = b""
    """By which the sender knows that connection, if it says so (`PP2_TYPE_UNIQUE_ID`)."""


class HeaderFault(StrEnum):
    NO_HEADER = "no_header"
    BARE_TLS = "bare_tls"
    LINE_TOO_LONG = "line_too_long"
    MALFORMED_LINE = "malformed_line"
    VERSION = "version"
    COMMAND = "command"
    FAMILY = "family"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    TLV = "tlv"
    CHECKSUM = "checksum"


_SENTENCES: Final = {
    HeaderFault.NO_HEADER: "the connection begins with something else than a PROXY header",
    HeaderFault.BARE_TLS: "the connection begins with TLS, and a PROXY header has to come first",
    HeaderFault.LINE_TOO_LONG: "the PROXY line has no end within its longest length",
    HeaderFault.MALFORMED_LINE: "the PROXY line breaks the format of version 1",
    HeaderFault.VERSION: "the binary PROXY header has an unknown version",
    HeaderFault.COMMAND: "the binary PROXY header has an unknown command",
    HeaderFault.FAMILY: "the binary PROXY header has an unknown address family or transport",
    HeaderFault.TOO_LONG: "the binary PROXY header is too long",
    HeaderFault.TOO_SHORT: "the binary PROXY header has no room for its addresses",
    HeaderFault.TLV: "an extension (TLV) of the PROXY header does not fit, or stands twice",
    HeaderFault.CHECKSUM: "the CRC-32C of the PROXY header is wrong",
}


class ProxyHeaderError(Exception):
    """The bytes are no valid header: `fault` is the broken rule, with `found` and `allowed`."""

    def __init__(self, fault: HeaderFault, found: str = "", allowed: str = "") -> None:
        super().__init__(fault, found, allowed)
        self.fault = fault
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        found = f": {self.found}" if self.found else ""
        return f"{_SENTENCES[self.fault]}{found}{f', allowed is {self.allowed}' if self.allowed else ''}"
