"""What the answers of a listener say about HTTP/3: the field Alt-Svc (RFC 7838 section 3). Pure."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from proxy.http.head import Header

CLEAR: Final = b"clear"
"""The value that has clients forget what they were told."""


def http3_at(port: int, seconds: int) -> bytes:
    """The value that offers HTTP/3 at a UDP port of the host. Clients remember it for `seconds`."""
    return b'h3=":%d"; ma=%d' % (port, seconds)


class AlternativeService:
    """The field of one listener, ready to be sent. All of its connections share it.

    Nothing is said until `say`.
    """

    def __init__(self) -> None:
        self.line = b""
        """A whole field line for HTTP/1.1, or nothing."""
        self.fields: list[Header] = []
        """The same for HTTP/2. A list never changes: the encoder knows it by its identity."""

    def say(self, value: bytes) -> None:
        """Send this value from the next answer on, or none if it is empty."""
        self.line = b"Alt-Svc: %b\r\n" % value if value else b""
        self.fields = [(b"alt-svc", value)] if value else []


NO_ALTERNATIVE: Final = AlternativeService()
"""For connections of which nothing is ever said."""
