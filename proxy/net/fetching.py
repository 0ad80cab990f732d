"""Fetches a document by http or https, with bounds for its size and the time."""

import http.client
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any, Final, Self

from mypy_extensions import mypyc_attr

_PART_BYTES: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""RFC 9110 section 15.4."""


class NotFetched(Exception):
    """A document is not there or does not come; `reason` is a clause."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address = address
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.address} cannot be fetched: {self.reason}"


def fetch(address: str, most_bytes: int, seconds: float) -> bytes:
    """The content of a document. Blocks at most `seconds`, but for the look-up of the name and the
    connection: `seconds` more for each address that the name has.

    `address` is one of http or https. Raises `NotFetched`.
    """
    content = bytearray()
    too_long = f"it took longer than {seconds:g} s"
    with Deadline(seconds) as deadline:
        try:
            request = urllib.request.Request(address, headers={"User-Agent": "plexigate"})  # noqa: S310 - see above
            with opener(deadline).open(request, timeout=seconds) as answer:
                while part := answer.read1(_PART_BYTES):
                    content += part
                    if len(content) > most_bytes:
                        raise NotFetched(address, f"it has more than {most_bytes} bytes")
            reason = ""
        except urllib.error.HTTPError as error:
            error.close()
            reason = f"the server answered with status {error.code}"
            if error.code in _REDIRECTS:
                reason += ", and redirects are not followed"
        except (OSError, ValueError, http.client.HTTPException) as error:
            inner = getattr(error, "reason", error)
            is_late = isinstance(inner, TimeoutError)
            reason = too_long if is_late else getattr(inner, "strerror", None) or str(inner)
        if deadline.is_over:  # what was read may be a part
            reason = too_long
    if reason:
        raise NotFetched(address, reason)
    return bytes(content)


class Deadline:
    """Ends a connection after `seconds`. The timeout of a socket bounds only each read: a server
    that sends a byte now and then holds a reader for ever.
    """

    def __init__(self, seconds: float) -> None:
        self.is_over = False
        self._connected: socket.socket | None = None
        self._timer: Final = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()  # before the descriptor is another's
        if self._connected is not None:
            self._connected.close()

    def bound(self, connected: socket.socket) -> None:
        """End this one too. Raises `TimeoutError` if the time is over."""
        self._connected = connected.dup()  # TLS takes the descriptor of the socket away
        if self.is_over:
            raise TimeoutError

    def _end(self) -> None:
        self.is_over = True
        if self._connected is not None:
            with suppress(OSError):
                self._connected.shutdown(socket.SHUT_RDWR)


@mypyc_attr(native_class=False)
class _BoundedConnection(http.client.HTTPConnection):
    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.bound(self.sock)


@mypyc_attr(native_class=False)
class _BoundedTlsConnection(http.client.HTTPSConnection, _BoundedConnection):
    """Its first base calls `_BoundedConnection.connect` before the handshake."""


@mypyc_attr(native_class=False)
class _BoundedRequests(urllib.request.HTTPHandler):
    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._plain, request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._tls, request)

    https_request = urllib.request.HTTPHandler.http_request

    def _plain(self, host: str, /, **settings: Any) -> http.client.HTTPConnection:
        return self._bounded(_BoundedConnection(host, **settings))

    def _tls(self, host: str, /, **settings: Any) -> http.client.HTTPConnection:
        return self._bounded(_BoundedTlsConnection(host, **settings))

    def _bounded(self, connection: _BoundedConnection) -> http.client.HTTPConnection:
        connection.deadline = self._deadline
        return connection


def opener(deadline: Deadline) -> urllib.request.OpenerDirector:
    """What asks by http and https alone until the deadline, and follows no redirect.

    Who can change an answer could send us to an address inside of our own network. After a POST,
    urllib would follow with a GET, and lose the message.
    """
    made = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _BoundedRequests(deadline),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        made.add_handler(handler)
    return made
