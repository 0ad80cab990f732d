"""The Via field: by which name a proxy is known on the way of a request (RFC 9110 7.6.3). Pure.

A proxy writes its name into each request. If a request comes in with that name, an upstream leads
back to the proxy, and the request would go round until its head is too large. Two proxies must not
have the same name, or the second one in a chain would refuse what the first one sends.
"""

from collections.abc import Iterable
from typing import Final

from proxy.http.head import ResponseHead

# The name in responses: clients do not learn which process it was.
_PUBLIC: Final = b"plexigate"


class OwnVia:
    def __init__(self, pseudonym: bytes) -> None:
        """`pseudonym` is a token that no other proxy has."""
        self._pseudonym: Final = pseudonym
        name = b"%b-%b" % (_PUBLIC, pseudonym) if pseudonym else _PUBLIC
        self.lines: Final = (b"Via: 1.0 %b\r\n" % name, b"Via: 1.1 %b\r\n" % name)
        """The field lines of requests that were received by HTTP/1.0 and HTTP/1.1."""
        self.line_of_http_2: Final = b"Via: 2.0 %b\r\n" % name

    def is_in(self, values: Iterable[bytes]) -> bool:
        """Whether this proxy has had the request before; `values` are those of Via.

        The pseudonym is random, so no other part of a value has it.
        """
        if self._pseudonym:
            for value in values:
                if value.find(self._pseudonym) >= 0:
                    return True
        return False


NAMELESS: Final = OwnVia(b"")
"""That of a proxy which has no pseudonym and knows no request again."""

_IN_RESPONSES: Final = (b"1.0 " + _PUBLIC, b"1.1 " + _PUBLIC)
_IN_RESPONSES_OF_HTTP_2: Final = b"2.0 " + _PUBLIC


def via(head: ResponseHead) -> bytes:
    """The value of the Via field of a response that is sent on."""
    return _IN_RESPONSES[head.minor_version] if head.major_version == 1 else _IN_RESPONSES_OF_HTTP_2
