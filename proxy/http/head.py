"""One complete HTTP/1.1 head: bytes -> RequestHead or ResponseHead.

Theory of operation. The caller collects bytes up to the first CRLF CRLF, counts them against its
own limit, and hands over exactly these bytes. Each head gets a fresh `httptools` parser (llhttp,
all strict). So a parser never sees a body, a second message, or the remains of an earlier message:
`framing` decides where a body begins and ends.

llhttp parses the field lines, and it is lenient where a proxy must not be. So the proxy checks the
bytes around it:

- before: the start line word by word (llhttp takes `HTTP/2.0`, `RTSP/1.0`, two spaces, a leading
  LF, status 099), the line ends (as many CRLF as CR and as LF), the number and the length of the
  lines (llhttp has no limits);
- after: as many fields as lines. This proves that llhttp joined or skipped no line, even if a later
  version treats folding differently.

llhttp itself refuses NUL and other control characters, white space around names and empty names.
The tests try every byte in every position, so they fail with a version that stops doing so.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, HttpResponseParser
from mypy_extensions import mypyc_attr

from proxy.http.grammar import WHITESPACE, is_field_value, is_token

Header = tuple[bytes, bytes]
"""Field name as it was sent, and value without white space around it."""

# RFC 9110 section 9, RFC 5789 (PATCH), RFC 4918 and related ones (WebDAV): methods whose messages
# are framed like all others. CONNECT and TRACE are known and never served: a tunnel bypasses
# routing, and an echo shows what this proxy added.
METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH"
    b" PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT SEARCH MKCALENDAR ACL".split()
)

_MINOR_VERSIONS: Final = {b"HTTP/1.0": 0, b"HTTP/1.1": 1}
_STATUS_CODES: Final = {b"%d" % code: code for code in range(100, 600)}
_ANY_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")

# Any response that breaks a rule is a fault of the upstream (RFC 9110 15.6.3).
_BAD_GATEWAY: Final = 502
_NOT_HTTP: Final = "response is neither HTTP/1.0 nor HTTP/1.1"
_VERSION_START: Final = b"HTTP/1."
_VERSION_ENDS: Final = (b" HTTP/1.0", b" HTTP/1.1")
_SPACE: Final = 0x20
_CR: Final = 0x0D
_LF: Final = 0x0A
_LINE_END: Final = b"\r\n"
_NO_NAMES: Final[frozenset[bytes]] = frozenset()


class MalformedMessage(Exception):
    """A message that is not forwarded: answer with `status`, then close the connection.

    `reason` is a short fixed sentence. It never repeats what was received, so it is safe to show to
    a client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason} ({self.status})"


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Limits on the parts of a head; the caller that collects a head limits it as a whole."""

    target_bytes: int
    header_count: int
    header_bytes: int
    """One field line, without its CRLF."""


@mypyc_attr(acyclic=True, free_list_len=1)
class RequestHead:
    """A well-formed request head that is not judged yet. It never changes.

    It is a plain class: compiled code makes and reads named tuples by way of the interpreter.
    """

    def __init__(
        self,
        method: bytes,
        target: bytes,
        minor_version: int,
        headers: list[Header] | bytes,
        major_version: int = 1,
        never_indexed: frozenset[bytes] = _NO_NAMES,
    ) -> None:
        """`headers` may be the bytes of the head, if each of its field lines is well-formed.

        They are taken apart on first use: most requests are only forwarded.
        """
        self.method: Final = method
        self.target: Final = target
        self.minor_version: Final = minor_version
        """Of HTTP/1; a request of HTTP/2 has 1, because it may do what one of HTTP/1.1 may."""
        self._headers = headers
        self.major_version: Final = major_version
        self.never_indexed: Final = never_indexed
        """The names of fields that no table on the way may hold (RFC 7541 6.2.3)."""

    @property
    def headers(self) -> list[Header]:
        """The fields as they were sent, each value without white space around it."""
        headers = self._headers
        if isinstance(headers, bytes):
            lines = headers[:-4].split(_LINE_END)[1:]
            headers = [as_header(line) for line in lines]
            self._headers = headers
        return headers

    def other_target(self, line: bytes, limits: HeadLimits) -> bytes | None:
        """The target in a request line with the same method and version, not judged yet.

        None for another line, and for one that is too long.
        """
        start = len(self.method) + 1
        end = len(line) - len(_VERSION_ENDS[0])
        if (
            start > end
            or end - start > limits.target_bytes
            or not line.startswith(self.method)
            or line[start - 1] != _SPACE
            or not line.endswith(_VERSION_ENDS[self.minor_version])
        ):
            return None
        return line[start:end]

    def asking(self, method: bytes, target: bytes) -> "RequestHead":
        """The request with the same fields for another method or target."""
        return RequestHead(method, target, self.minor_version, self._headers, self.major_version, self.never_indexed)


def as_header(line: bytes) -> Header:
    """Take apart a well-formed field line, without its CRLF (RFC 9112 section 5)."""
    name, _, value = line.partition(b":")
    return name, value.strip(WHITESPACE)


class ResponseHead:
    """A well-formed response head that is not judged yet. It never changes."""

    def __init__(
        self, status: int, reason: bytes, minor_version: int, headers: Sequence[Header], major_version: int = 1
    ) -> None:
        """`headers` are as they were sent, and empty if they were sorted at once (`responses`)."""
        self.status: Final = status
        self.reason: Final = reason
        self.minor_version: Final = minor_version
        self.headers: Final = headers
        self.major_version: Final = major_version


def parse_request_head(raw: bytes, limits: HeadLimits) -> RequestHead:
    """Parse one request head, from its first byte to its CRLF CRLF.

    Raises MalformedMessage (400, 414, 431, 501, 505).
    """
    line_count = _count_lines(raw, 400)
    method, target, minor_version = parse_request_line(raw[: raw.index(b"\r\n")], limits)
    check_fields(line_count - 2, _longest_field(raw) if len(raw) > limits.header_bytes else 0, limits)
    return RequestHead(method, target, minor_version, _fields(HttpRequestParser, raw, line_count, 400))


def check_fields(count: int, longest: int, limits: HeadLimits) -> None:
    """Bound the fields of a request: their number, and the bytes of the longest.

    Raises MalformedMessage (431).
    """
    if count > limits.header_count:
        raise MalformedMessage(431, "too many header fields")
    if longest > limits.header_bytes:
        raise MalformedMessage(431, "header field too long")


def parse_response_head(raw: bytes, limits: HeadLimits) -> ResponseHead:
    """Parse one response head, from its first byte to its CRLF CRLF.

    Raises MalformedMessage (502).
    """
    line_count = check_response_head(raw, limits)
    status, reason, minor_version = parse_status_line(raw[: raw.index(b"\r\n")])
    headers = _fields(HttpResponseParser, raw, line_count, _BAD_GATEWAY)
    return ResponseHead(status, reason, minor_version, headers)


def check_response_head(raw: bytes, limits: HeadLimits) -> int:
    """Check line ends and sizes of a response head, and return its number of lines.

    Raises MalformedMessage (502).
    """
    line_count = _count_lines(raw, _BAD_GATEWAY)
    if line_count - 2 > limits.header_count:
        raise MalformedMessage(_BAD_GATEWAY, "too many header fields in the response")
    if len(raw) > limits.header_bytes and _longest_field(raw) > limits.header_bytes:
        raise MalformedMessage(_BAD_GATEWAY, "header field too long in the response")
    return line_count


def refuse_hopeless_head(data: bytes, scanned: int) -> None:
    """Check the beginning of a response head, whose first `scanned` bytes were checked before.

    A beginning that cannot become a head is refused at once: a server that ends lines with LF alone
    believes that its head is complete. Raises MalformedMessage (502).
    """
    if data[: len(_VERSION_START)] != _VERSION_START[: len(data)]:
        raise MalformedMessage(_BAD_GATEWAY, _NOT_HTTP)
    # a CR may be the last byte so far; then it is checked again with the next byte
    start = scanned - 1 if scanned and data[scanned - 1] == _CR else scanned
    rest = data[start:].replace(b"\r\n", b"")
    if _LF in rest or rest.count(b"\r") > data.endswith(b"\r"):
        raise MalformedMessage(_BAD_GATEWAY, "line end that is not CRLF")
    line_end = data.find(b"\r\n")
    if line_end >= start:
        parse_status_line(data[:line_end])


def _count_lines(raw: bytes, status: int) -> int:
    """Return the number of lines, the empty one included.

    Every line must end with a CRLF, and the head must end with `raw`.

    RFC 9112 2.2 lets a recipient take a bare LF as a line end and a bare CR as a space. The next
    recipient would then see other lines than this proxy.
    """
    text = raw.replace(b"\r\n", b"")
    if _LF in text or _CR in text:
        raise MalformedMessage(status, "line end that is not CRLF")
    if not raw.endswith(b"\r\n\r\n") or raw.find(b"\r\n\r\n") != len(raw) - 4:
        raise MalformedMessage(status, "not exactly one head")
    return (len(raw) - len(text)) // 2


def parse_request_line(line: bytes, limits: HeadLimits) -> tuple[bytes, bytes, int]:
    """Split `method SP request-target SP HTTP-version` (RFC 9112 section 3).

    Returns method, target and minor version; the module `target` judges the target. Raises
    MalformedMessage (400, 414, 501, 505).
    """
    words = line.split(b" ")
    if len(words) != 3:
        raise MalformedMessage(400, "request line is not three words")
    method, target, version = words
    minor_version = _MINOR_VERSIONS.get(version)
    if minor_version is None:
        if _ANY_VERSION.fullmatch(version):
            raise MalformedMessage(505, "only HTTP/1.0 and HTTP/1.1 are served")
        raise MalformedMessage(400, "not an HTTP version")
    check_request(method, target, limits)
    return method, target, minor_version


def check_request(method: bytes, target: bytes, limits: HeadLimits) -> None:
    """Refuse a method that is not served, and a target that is too long.

    Raises MalformedMessage (400, 414, 501).
    """
    if method not in METHODS:
        if is_token(method):
            raise MalformedMessage(501, "method not supported")
        raise MalformedMessage(400, "not a method")
    if len(target) > limits.target_bytes:
        raise MalformedMessage(414, "request target too long")


# An upstream has a few dozen different status lines. Parsing one costs as much as three fields.
@lru_cache(maxsize=128)
def parse_status_line(line: bytes) -> tuple[int, bytes, int]:
    """Split `HTTP-version SP status-code SP [reason-phrase]` (RFC 9112 section 4).

    Many servers leave out the space before an absent reason. That is harmless, because the proxy
    writes the line again.
    """
    version, _, rest = line.partition(b" ")
    code, _, reason = rest.partition(b" ")
    minor_version = _MINOR_VERSIONS.get(version)
    if minor_version is None:
        raise MalformedMessage(_BAD_GATEWAY, _NOT_HTTP)
    status = _STATUS_CODES.get(code)
    if status is None:
        raise MalformedMessage(_BAD_GATEWAY, "response without a valid status code")
    if not is_field_value(reason):
        raise MalformedMessage(_BAD_GATEWAY, "control character in the reason phrase")
    return status, reason, minor_version


def _longest_field(raw: bytes) -> int:
    return max(map(len, raw.split(b"\r\n")[1:]))


class _Collector:
    """The callbacks of httptools."""

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self.is_complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves trailing white space on the value (RFC 9112 section 5 excludes it).
        self.headers.append((name, value.rstrip(WHITESPACE)))

    def on_headers_complete(self) -> None:
        self.is_complete = True


def _fields(
    parser: type[HttpRequestParser | HttpResponseParser], raw: bytes, line_count: int, status: int
) -> list[Header]:
    """Have llhttp parse the head, and return its fields."""
    collector = _Collector()
    try:
        parser(collector).feed_data(raw)
    except (HttpParserError, HttpParserUpgrade) as error:
        # After a complete head llhttp reports errors about the body (an upgrade, a 101, an unknown
        # coding). `framing` decides about those.
        if not collector.is_complete:
            raise MalformedMessage(status, "malformed head") from error
    if len(collector.headers) != line_count - 2:
        raise MalformedMessage(status, "header fields and lines do not match")
    return collector.headers
