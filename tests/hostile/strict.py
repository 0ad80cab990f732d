"""Readers of HTTP/1.1 messages that take the strictest form only.

They stand on both sides of the proxy under test and share no code with it: what they do not take is ambiguous to somebody,
so the proxy must not have sent it. They are stricter than the RFCs wherever the proxy writes in one way only: exactly one
space behind a colon, no leading zeros, lower-case chunk sizes, no chunk extensions.
"""

import re
from dataclasses import dataclass, field

Header = tuple[bytes, bytes]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") (/[!-\"$-~]*) (HTTP/1\.1)")
_STATUS_LINE = re.compile(rb"(HTTP/1\.1) ([1-5][0-9][0-9]) ([\t -~\x80-\xff]*)")
_FIELD_LINE = re.compile(rb"(" + _TOKEN + rb"): ((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)")
_HOST = re.compile(rb"(?:[0-9A-Za-z_.-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]{0,4})?")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_CHUNK_SIZE = re.compile(rb"[1-9a-f][0-9a-f]{0,12}")

_CLIENTS = (["127.0.0.1"], ["127.0.0.2"])
_NEVER_FORWARDED = frozenset(
    b"keep-alive proxy-connection proxy-authorization proxy-authenticate proxy http2-settings trailer".split()
)
_WEBSOCKET = frozenset(f"sec-websocket-{name}" for name in ("accept", "extensions", "key", "protocol", "version"))
# Exactly one of each, because the proxy sets them.
_OURS = tuple(b"x-forwarded-for x-forwarded-proto x-forwarded-host forwarded x-request-id x-tls-group".split())
_CLAIMS = frozenset({b"x-real-ip", b"client-cert", b"client-cert-chain", b"x-client-cert", b"ssl-client-cert"})
_TWINS = frozenset(
    name.replace(b"-", twin)
    for name in (*_NEVER_FORWARDED, *_OURS, *_CLAIMS, b"content-length", b"transfer-encoding")
    for twin in (b"_", b".")
    if b"-" in name
)


class NotStrict(Exception):
    """Bytes that only a lenient reader would take."""


@dataclass(slots=True)
class Message:
    """A request or a response whose head has been read."""

    start: tuple[bytes, bytes, bytes]
    headers: list[Header]
    content: bytearray = field(default_factory=bytearray)
    """What has come of the body so far."""
    trailers: list[Header] = field(default_factory=list)

    @property
    def method(self) -> str:
        """The method of a request."""
        return self.start[0].decode()

    @property
    def target(self) -> str:
        """The target of a request."""
        return self.start[1].decode()

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start[1])

    @property
    def body(self) -> bytes:
        """The body, without chunks."""
        return bytes(self.content)

    def values(self, name: str) -> list[str]:
        """The values of all fields of that name, in order."""
        return [value.decode("latin-1") for key, value in self.headers if key.lower() == name.lower().encode()]

    @property
    def names(self) -> list[str]:
        """The field names, in lower case and in order."""
        return [name.decode().lower() for name, _ in self.headers]


class _Reader:
    """Reads one message from pieces of any size."""

    def __init__(self) -> None:
        self.message: Message | None = None
        self.is_complete = False
        self.rest = b""
        """What came behind the message."""
        self._buffer = bytearray()
        self._left: int | None = 0
        """Bytes of the body, or of the chunk, that are to come; None for a body that ends with the connection."""
        self._is_chunked = False
        self._is_at_chunk_end = False
        self._is_in_trailers = False

    @property
    def is_in_head(self) -> bool:
        """Whether a part of a head has come."""
        return self.message is None and bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises NotStrict."""
        self._buffer += data
        while not self.is_complete and self._step():
            pass
        if self.is_complete:
            self.rest += bytes(self._buffer)
            self._buffer.clear()

    def end(self) -> None:
        """The connection has ended cleanly. Raises NotStrict unless the message may end there."""
        if self.message is not None and self._left is None:
            self.is_complete = True
        elif not self.is_complete:
            raise NotStrict("ended in the middle of a message")

    def _step(self) -> bool:
        if self.message is None:
            return self._step_head()
        if self._left is None or self._left > 0:
            return self._step_body(self.message)
        if self._is_at_chunk_end:
            return self._step_chunk_end()
        if self._is_chunked:
            return self._step_line(self.message)
        self.is_complete = True
        return True

    def _step_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        start, *lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        message = Message(self._start(start), [_field(line) for line in lines])
        self._left = self._length(message)
        self._is_chunked = "chunked" in message.values("Transfer-Encoding") and self._left == 0
        self.message = message
        return True

    def _step_body(self, message: Message) -> bool:
        piece = self._buffer if self._left is None else self._buffer[: self._left]
        message.content += piece
        if self._left is not None:
            self._left -= len(piece)
            self._is_at_chunk_end = self._is_chunked and self._left == 0
        del self._buffer[: len(piece)]
        return bool(piece)

    def _step_chunk_end(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise NotStrict(f"chunk ends with {bytes(self._buffer[:2])!r}")
        del self._buffer[:2]
        self._is_at_chunk_end = False
        return True

    def _step_line(self, message: Message) -> bool:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        if self._is_in_trailers:
            if line:
                message.trailers.append(self._trailer(line))
            self._is_chunked = bool(line)
        elif line == b"0":
            self._is_in_trailers = True
        elif _CHUNK_SIZE.fullmatch(line):
            self._left = int(line, 16)
        else:
            raise NotStrict(f"chunk size line {line!r}")
        return True

    def _start(self, line: bytes) -> tuple[bytes, bytes, bytes]:
        raise NotImplementedError

    def _length(self, message: Message) -> int | None:
        raise NotImplementedError

    def _trailer(self, line: bytes) -> Header:
        return _field(line)


class RequestReader(_Reader):
    """Reads what the proxy sends to an upstream."""

    def __init__(self, *, is_peer_trusted: bool = False) -> None:
        """`is_peer_trusted`: whether the proxy may hand on what its client says about others."""
        super().__init__()
        self._is_peer_trusted = is_peer_trusted

    def _start(self, line: bytes) -> tuple[bytes, bytes, bytes]:
        match = _REQUEST_LINE.fullmatch(line)
        if match is None:
            raise NotStrict(f"request line {line!r}")
        return match[1], match[2], match[3]

    def _length(self, message: Message) -> int:
        hosts = message.values("Host")
        if len(hosts) != 1 or not _HOST.fullmatch(hosts[0].encode("latin-1")):
            raise NotStrict(f"Host {hosts}")
        self._check_names(message)
        _check_hop(message)
        length = _declared_length(message) or 0
        expectations = message.values("Expect")
        if expectations and (expectations != ["100-continue"] or not (length or message.values("Transfer-Encoding"))):
            raise NotStrict(f"Expect {expectations}")
        return length

    def _check_names(self, message: Message) -> None:
        names = [name.lower() for name, _ in message.headers]
        for name in names:
            if name in _NEVER_FORWARDED or name in _TWINS or (name in _CLAIMS and not self._is_peer_trusted):
                raise NotStrict(f"forwarded {name!r}")
        for name in _OURS:
            if names.count(name) != 1:
                raise NotStrict(f"{names.count(name)} times {name!r}")
        if not self._is_peer_trusted and message.values("X-Forwarded-For") not in _CLIENTS:
            raise NotStrict(f"X-Forwarded-For {message.values('X-Forwarded-For')}")

    def _trailer(self, line: bytes) -> Header:
        raise NotStrict(f"trailer {line!r}")


class ResponseReader(_Reader):
    """Reads what the proxy sends to a client that used `method`. Each 1xx is a message of its own."""

    def __init__(self, method: str = "GET") -> None:
        """Await one response."""
        super().__init__()
        self._method = method

    def _start(self, line: bytes) -> tuple[bytes, bytes, bytes]:
        match = _STATUS_LINE.fullmatch(line)
        if match is None:
            raise NotStrict(f"status line {line!r}")
        return match[1], match[2], match[3]

    def _length(self, message: Message) -> int | None:
        names = message.names
        for name in ("content-length", "transfer-encoding", "connection", "date", "trailer"):
            if names.count(name) > 1:
                raise NotStrict(f"{names.count(name)} times {name}")
        if _NEVER_FORWARDED & {name.lower() for name, _ in message.headers} - {b"trailer"} or "te" in names:
            raise NotStrict(f"hop-by-hop field among {names}")
        if "upgrade" in names and message.status not in {101, 426}:
            raise NotStrict("Upgrade")
        length = _declared_length(message)
        if message.status < 200 or message.status == 204:
            if length is not None or message.values("Transfer-Encoding"):
                raise NotStrict(f"framing in a {message.status}")
            return 0
        if self._method == "HEAD" or message.status == 304:
            message.headers = [header for header in message.headers if header[0].lower() != b"transfer-encoding"]
            return 0
        return length if length is not None or not message.values("Transfer-Encoding") else 0


def _field(line: bytes) -> Header:
    match = _FIELD_LINE.fullmatch(line)
    if match is None:
        raise NotStrict(f"field line {line!r}")
    return match[1], match[2]


def _declared_length(message: Message) -> int | None:
    lengths, codings = message.values("Content-Length"), message.values("Transfer-Encoding")
    if len(lengths) + len(codings) > 1:
        raise NotStrict(f"Content-Length {lengths}, Transfer-Encoding {codings}")
    if codings and codings != ["chunked"]:
        raise NotStrict(f"Transfer-Encoding {codings}")
    if not lengths:
        return None
    if not _LENGTH.fullmatch(lengths[0].encode("latin-1")):
        raise NotStrict(f"Content-Length {lengths}")
    return int(lengths[0])


def _check_hop(message: Message) -> None:
    """Only two uses of Connection are possible: an upgrade to WebSocket, and the wish for trailers."""
    hop = (message.values("Connection"), message.values("Upgrade"), message.values("TE"))
    if hop not in (([], [], []), (["Upgrade"], ["websocket"], []), (["TE"], [], ["trailers"])):
        raise NotStrict(f"Connection, Upgrade, TE: {hop}")
    offered = [message.values(f"Sec-WebSocket-{name}") for name in ("Version", "Key")]
    if hop[1] and (offered[0] != ["13"] or len(offered[1]) != 1 or message.method != "GET"):
        raise NotStrict(f"WebSocket handshake {offered}")
    if not hop[1] and not _WEBSOCKET.isdisjoint(message.names):
        raise NotStrict(f"WebSocket fields without an upgrade: {message.names}")
