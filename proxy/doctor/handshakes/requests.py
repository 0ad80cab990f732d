"""Requests of the doctor through a listener to the server behind it, and their answers.

Pure. Each request is one GET, with the name of the doctor as User-Agent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.doctor.finding import Finding, Judge
from proxy.doctor.handshakes.judgement import Subject
from proxy.http.head import HeadLimits
from proxy.http.websocket.upgrade import accept_value
from proxy.http2.session.client_session import ClientSession
from proxy.http2.session.events import ConnectionFailed, ResponseReceived, StreamReset
from proxy.upstream.http2.limits import session_limits

HTTP_1: Final = "HTTP/1.1"
HTTP_2: Final = "HTTP/2"
WEBSOCKET: Final = "WebSocket"

_AGENT: Final = b"plexigate-doctor"
# Without a body encrypted or compressed: only the head is read.
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?")
_HEAD_END: Final = b"\r\n\r\n"
_LARGEST_HEAD: Final = 65_536
_OUR_VIA: Final = re.compile(rb"(?i)\b(?:1\.[01]|2\.0) plexigate\b")
_SWITCHED: Final = 101
_OK_TO_ERROR: Final = 500
_KEY: Final = b"cGxleGlnYXRlIGRvY3Rvcg=="
"""Any 16 octets do (RFC 6455 section 4.1): the answer proves that it was read."""
CLOSE_FRAME: Final = bytes.fromhex("88 82 00000000 03e8")
"""A masked close frame with 1000, "normal closure" (RFC 6455 sections 5.5.1 and 7.4.1)."""

_SERVER: Final = (
    "Check the servers of the upstream in plexigate status, and try one of them by hand: curl -i. The access log has "
    "the request with its reason."
)
_BACKEND: Final = "The application itself answers so: look at its log."
_PROTOCOL: Final = "Check http of the listener, and its failures in plexigate status."

_ROOM: Final = 65_536


@dataclass(frozen=True, slots=True)
class HttpReply:
    """The head of a response."""

    status: int
    is_relayed: bool
    """Whether a server behind the proxy made it: the proxy says so by Via (RFC 9110 7.6.3)."""
    is_accepted: bool = False
    """Whether it proves that the server understood a WebSocket handshake."""


class NoResponse(Exception):
    """The answer is not a response. `found` says what it is."""

    def __init__(self, found: str) -> None:
        super().__init__(found)
        self.found = found

    def __str__(self) -> str:
        return self.found


def get(name: str, path: str) -> bytes:
    """A GET of HTTP/1.1 on a connection that ends with it."""
    return _request(name, path, b"Connection: close\r\n")


def websocket_handshake(name: str, path: str) -> bytes:
    """The opening handshake of a WebSocket (RFC 6455 section 4.1)."""
    fields = (
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n" % _KEY
    )
    return _request(name, path, fields)


def _request(name: str, path: str, fields: bytes) -> bytes:
    line = b"GET %b HTTP/1.1\r\nHost: %b\r\n" % (path.encode("ascii"), name.encode("ascii"))
    return b"%bUser-Agent: %b\r\nAccept: */*\r\n%b\r\n" % (line, _AGENT, fields)


def read_reply(data: bytes) -> HttpReply | None:
    """Read the final response in `data`; None without a whole head. Raises `NoResponse`."""
    while True:
        head, end, rest = data.partition(_HEAD_END)
        if not end:
            if len(data) > _LARGEST_HEAD:
                raise NoResponse(f"a response whose head is longer than {_LARGEST_HEAD} octets")
            return None
        lines = head.split(b"\r\n")
        found = _STATUS.fullmatch(lines[0])
        if found is None:
            raise NoResponse(f"something that is not a response: {lines[0][:40]!r}")
        status = int(found[1])
        if status >= 200 or status == _SWITCHED:
            return _reply(status, [_field(line) for line in lines[1:]])
        data = rest  # an interim response


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


def _reply(status: int, fields: list[tuple[bytes, bytes]]) -> HttpReply:
    is_relayed = any(name == b"via" and _OUR_VIA.search(value) for name, value in fields)
    return HttpReply(status, is_relayed, (b"sec-websocket-accept", accept_value(_KEY)) in fields)


class Http2Get:
    """A GET over HTTP/2."""

    def __init__(self, name: str, path: str, clock: Callable[[], float]) -> None:
        limits = session_limits(_LARGEST_HEAD, HeadLimits(_LARGEST_HEAD, 1_000, _LARGEST_HEAD))
        self._session: Final = ClientSession(limits, clock)
        fields = [
            (b":method", b"GET"),
            (b":scheme", b"https"),
            (b":authority", name.encode("ascii")),
            (b":path", path.encode("ascii")),
            (b"user-agent", _AGENT),
            (b"accept", b"*/*"),
        ]
        self._session.open(fields, ends=True)

    def to_send(self) -> bytes:
        return self._session.data_to_send(_ROOM)

    def receive(self, data: bytes) -> HttpReply | None:
        """The server sent this; the response once its head is there. Raises `NoResponse`."""
        for event in self._session.receive_data(data):
            if isinstance(event, ResponseReceived) and not event.is_interim:
                fields = dict(event.decoded.fields)
                status = fields.get(b":status", b"")
                if not status.isdigit():
                    raise NoResponse(f"a response without a status: {status[:10]!r}")
                return _reply(int(status), list(event.decoded.fields))
            if isinstance(event, ConnectionFailed):
                raise NoResponse(f"a broken HTTP/2 session: {event.reason}")
            if isinstance(event, StreamReset):
                raise NoResponse(f"a reset of the stream with the error code {event.code}")
        return None


def reply_finding(check: str, subject: Subject, reply: HttpReply) -> Finding:
    judge = Judge(check)
    if reply.status < _OK_TO_ERROR:
        by = "the server behind the proxy" if reply.is_relayed else "the proxy itself"
        return judge.ok(subject, f"{by} answers {reply.status}")
    if reply.is_relayed:
        return judge.warning(subject, f"the server behind the proxy answers {reply.status}", _BACKEND)
    return judge.failure(subject, f"the proxy answers {reply.status}: no server did", _SERVER)


def upgrade_finding(subject: Subject, reply: HttpReply) -> Finding:
    """Whether a WebSocket handshake came through. A server may have none at the path."""
    judge = Judge(WEBSOCKET)
    if reply.status != _SWITCHED and reply.status < _OK_TO_ERROR and reply.is_relayed:
        return judge.ok(
            subject, f"the handshake came through; the server has no WebSocket here, and answers {reply.status}"
        )
    if reply.status != _SWITCHED:
        return reply_finding(WEBSOCKET, subject, reply)
    if not reply.is_accepted:
        return judge.failure(subject, "101 without the Sec-WebSocket-Accept that belongs to the key", _BACKEND)
    return judge.ok(subject, "the server behind the proxy switched to WebSocket (101)")


def no_reply(check: str, subject: Subject, found: str) -> Finding:
    return Judge(check).failure(subject, f"no response: {found}", _SERVER)


def wrong_protocol(check: str, subject: Subject, protocol: str, wanted: str) -> Finding:
    """ALPN settled something else than was offered alone."""
    found = f"ALPN settled {protocol or 'nothing'} where {wanted} was offered"
    return Judge(check).failure(subject, found, _PROTOCOL)
