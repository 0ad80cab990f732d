"""What `_native.Connection` reports: tuples that begin with one of these. Pure."""

from typing import Any, Final, TypeAlias

QuicEventTuple: TypeAlias = tuple[Any, ...]


class QuicEvent:
    """The first element. A stream comes next, by its identifier in QUIC, but for the last three."""

    HEAD: Final = 1
    """Fields, names that are never indexed or None, whether they are too large, whether it ends."""
    BODY: Final = 2
    """Bytes."""
    TRAILERS: Final = 3
    """As HEAD."""
    END: Final = 4
    RESET: Final = 5
    """The client gave it up, with a code."""
    FAULT: Final = 6
    """The client broke a rule that ends the stream: the code that it was told already, and the
    fields that came of a request without a head, or None."""
    LEFT: Final = 7
    """The number of bytes of the answer that packets took."""
    END_SENT: Final = 8
    CLOSED: Final = 9
    """Both directions have ended, and everything is acknowledged."""
    LEAVES: Final = 10
    """The client sent GOAWAY."""
    ID_MADE: Final = 11
    """A connection ID by which packets may come from now on."""
    ID_GONE: Final = 12
