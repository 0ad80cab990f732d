"""Where a message ends, and whether the connection survives it (RFC 9112 sections 6 and 9).

If two readers disagree about that, an attacker can smuggle requests. So this module takes only
messages with a single reading. Every rule stands under its section. Where the RFC lets a recipient
guess, the proxy refuses the message and closes the connection: requests with 4xx or 501, responses
with 502.
"""

from enum import Enum, auto
from typing import Any, Final

from mypy_extensions import mypyc_attr

from proxy.http.fields import Fields, sort_request_fields
from proxy.http.grammar import WHITESPACE, is_token, length_of, list_elements
from proxy.http.head import MalformedMessage, RequestHead, ResponseHead
from proxy.http.target import origin_form, parse_authority
from proxy.http.websocket.upgrade import WebSocketOffer, check_acceptance, websocket_offer


class BodyKind(Enum):
    """How the end of a body is found."""

    NONE = auto()
    """There is none, and no framing field is sent on."""
    LENGTH = auto()
    """Content-Length, which may be 0."""
    CHUNKED = auto()
    UNTIL_CLOSE = auto()
    """Responses only."""


@mypyc_attr(acyclic=True, free_list_len=1)
class RequestFraming:
    """What a request means to this connection and to the router. It never changes."""

    def __init__(  # noqa: PLR0913 - its fields
        self,
        body: BodyKind,
        length: int,
        keep_alive: bool,  # noqa: FBT001 - by place, as its fields
        expects_continue: bool,  # noqa: FBT001
        accepts_trailers: bool,  # noqa: FBT001
        websocket: WebSocketOffer | None,
        host: bytes,
        host_field: bytes,
        target: bytes,
        fields: Fields,
    ) -> None:
        self.body = body
        self.length = length
        """Bytes of body if LENGTH, else 0."""
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue
        self.accepts_trailers = accepts_trailers
        self.websocket = websocket
        self.host = host
        """For routing: lower-case, without port, brackets or final dot."""
        self.host_field = host_field
        self.target = target
        self.fields = fields
        """All but those that Connection removes."""

    def _copy(self) -> "RequestFraming":
        return RequestFraming(
            self.body,
            self.length,
            self.keep_alive,
            self.expects_continue,
            self.accepts_trailers,
            self.websocket,
            self.host,
            self.host_field,
            self.target,
            self.fields,
        )

    def is_judged_by(self, fields: Fields) -> bool:
        """Whether fields of the same method and version mean the same, in other lines, up to the
        length of the body.
        """
        return fields is self.fields or (
            fields.shape is self.fields.shape and not self.fields.removed and self.websocket is None
        )

    def with_target(self, target: bytes, fields: Fields) -> "RequestFraming":
        """The same for another target and other fields, by which it `is_judged_by`."""
        other = self._copy()
        other.target = target
        if fields.special is not self.fields.special:
            other.length = length_of(fields.special[b"content-length"][0])
        other.fields = fields
        return other

    def with_body(self, body: BodyKind, length: int) -> "RequestFraming":
        other = self._copy()
        other.body = body
        other.length = length
        return other

    def with_fields(self, fields: Fields, websocket: WebSocketOffer | None) -> "RequestFraming":
        other = self._copy()
        other.fields = fields
        other.websocket = websocket
        return other

    def without_expectation(self) -> "RequestFraming":
        other = self._copy()
        other.expects_continue = False
        return other


@mypyc_attr(acyclic=True, free_list_len=1)
class ResponseFraming:
    """What a response means to its upstream connection. It never changes.

    Many responses share one object, so it is compared by identity.
    """

    def __init__(  # noqa: PLR0913 - its fields
        self,
        head: ResponseHead,
        body: BodyKind,
        length: int | None,
        keep_alive: bool,  # noqa: FBT001 - by place, as its fields
        special: dict[bytes, list[bytes]],
        named: frozenset[bytes],
        shape: "ResponseFraming | None" = None,
        digits: bytes = b"",
    ) -> None:
        self.head: Final = head
        self.body: Final = body
        self.length: Final = length
        """Bytes of body if LENGTH.

        If NONE: the length that a response to HEAD or a 304 announces, None without an
        announcement.
        """
        self.keep_alive: Final = keep_alive
        """Whether the connection can take another request once the body has ended."""
        self.special: Final = special
        """Lower-case name of a special field -> the value of each of its field lines.

        Content-Length is not among them: `length` says the same.
        """
        self.named: Final = named
        """Lower-case names of the fields that Connection forbids to forward (RFC 9110 7.6.1)."""
        self._shape: Final = shape
        self._digits = digits
        self._length_part: list[Any] | None = None

    @property
    def shape(self) -> "ResponseFraming":
        """One framing for all that differ from it in `length` alone."""
        return self if self._shape is None else self._shape

    @property
    def length_part(self) -> list[Any]:
        """Content-Length, if there is one, as a part of a head of HTTP/2."""
        if self._length_part is None:
            self._length_part = [(b"content-length", self.digits)] if self.digits else []
        return self._length_part

    @property
    def digits(self) -> bytes:
        """The length as Content-Length has it; empty if there is none."""
        if not self._digits and self.length is not None:
            self._digits = b"%d" % self.length
        return self._digits

    def with_length(self, digits: bytes) -> "ResponseFraming":
        """The same for another length in decimal digits; neither length may be 0."""
        shape = self.shape
        return ResponseFraming(
            self.head, self.body, length_of(digits), self.keep_alive, self.special, self.named, shape, digits
        )


# Connection options that are no field names, or whose fields are never forwarded as they came.
_KNOWN_OPTIONS: Final = frozenset({b"close", b"keep-alive", b"upgrade", b"te", b"trailer", b"http2-settings"})

# The whole field as nearly every client and server sends it, parsed.
_USUAL_OPTIONS: Final = {
    value: frozenset(option.lower() for option in value.split(b", "))
    for value in (b"keep-alive", b"Keep-Alive", b"close", b"Close", b"Upgrade", b"upgrade", b"keep-alive, Upgrade")
}
_NO_OPTIONS: Final[frozenset[bytes]] = frozenset()

# RFC 9110 7.6.1: a sender must not name fields that are meant for every recipient of the content.
_NEVER_NAMED: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})


def request_framing(head: RequestHead, fields: Fields | None = None) -> RequestFraming:
    """Judge a request. `fields` are those of its head, if they were sorted before.

    Raises MalformedMessage (400, 417, 421, 426, 501).
    """
    if fields is None:
        fields = sort_request_fields(head.headers)
    special = fields.special
    # RFC 9112 3.2: exactly one Host. From HTTP/1.0 too: nothing else leads to a route.
    host_fields = special.get(b"host")
    if host_fields is None or len(host_fields) != 1:
        raise MalformedMessage(400, "not exactly one Host field")
    authority = parse_authority(host_fields[0])
    options = _connection_options(special, 400)
    if not options <= _KNOWN_OPTIONS:
        if options & _NEVER_NAMED:
            raise MalformedMessage(400, "Connection names a field that every recipient needs")
        fields = fields.without(options - _KNOWN_OPTIONS)
    body, length = _request_body(special, head.minor_version)
    has_body = body is BodyKind.CHUNKED or length > 0
    is_modern = head.minor_version > 0
    return RequestFraming(
        body,
        length,
        _keeps_alive(options, head.minor_version),
        b"expect" in special and is_modern and _expects_continue(special, has_body=has_body),
        b"te" in special and is_modern and _accepts_trailers(special),
        _upgrade(head, special, options, has_body=has_body) if b"upgrade" in special else None,
        authority.host,
        host_fields[0],
        origin_form(head.method, head.target, host_fields[0]),
        fields,
    )


def _request_body(special: dict[bytes, list[bytes]], minor_version: int) -> tuple[BodyKind, int]:
    """Apply RFC 9112 6.3 to a request."""
    codings = special.get(b"transfer-encoding")
    if codings is not None:
        _refuse_ambiguous_coding(special, minor_version, 400)
        if codings[0].lower() == b"chunked":
            return BodyKind.CHUNKED, 0
        # RFC 9112 6.1: 501 for an unknown coding, 400 for a value that is not a list of codings.
        if all(is_token(coding.strip(WHITESPACE)) for coding in codings[0].split(b",")):
            raise MalformedMessage(501, "transfer coding not supported")
        raise MalformedMessage(400, "invalid Transfer-Encoding")
    lengths = special.get(b"content-length")
    if lengths is not None:
        return BodyKind.LENGTH, _content_length(lengths, 400)
    return BodyKind.NONE, 0


def _refuse_ambiguous_coding(special: dict[bytes, list[bytes]], minor_version: int, status: int) -> None:
    # RFC 9112 6.1 and 6.3 rule 3: both fields ought to be handled as an error.
    if b"content-length" in special:
        raise MalformedMessage(status, "both Content-Length and Transfer-Encoding")
    # RFC 9112 6.1: HTTP/1.0 has no transfer codings, so a machine on the way did not understand the
    # field.
    if minor_version == 0:
        raise MalformedMessage(status, "Transfer-Encoding in an HTTP/1.0 message")
    if len(special[b"transfer-encoding"]) > 1:
        raise MalformedMessage(status, "several Transfer-Encoding fields")


def _content_length(values: list[bytes], status: int) -> int:
    """Parse Content-Length (RFC 9110 8.6). The RFC allows a list of equal values; we do not."""
    if len(values) > 1:
        raise MalformedMessage(status, "several Content-Length fields")
    length = length_of(values[0])
    if length < 0:
        raise MalformedMessage(status, "invalid Content-Length")
    return length


def _expects_continue(special: dict[bytes, list[bytes]], *, has_body: bool) -> bool:
    """Apply RFC 9110 10.1.1 to an HTTP/1.1 request with an Expect field.

    Without a body there is nothing to hold back.
    """
    if [value.lower() for value in special[b"expect"]] != [b"100-continue"]:
        raise MalformedMessage(417, "expectation other than 100-continue")
    return has_body


def _upgrade(
    head: RequestHead, special: dict[bytes, list[bytes]], options: frozenset[bytes], *, has_body: bool
) -> WebSocketOffer | None:
    """Judge a request that has an Upgrade field."""
    # The body could belong to both protocols, and parsers disagree: llhttp ends such a message
    # at its head.
    if has_body:
        raise MalformedMessage(400, "Upgrade with a body")
    # RFC 9110 7.8: Upgrade in an HTTP/1.0 request is ignored.
    if head.minor_version == 0:
        return None
    return websocket_offer(head.method, special, options)


def _accepts_trailers(special: dict[bytes, list[bytes]]) -> bool:
    """Apply RFC 9110 10.1.4 to an HTTP/1.1 request with a TE field. We never use other codings."""
    return any(element.lower() == b"trailers" for element in list_elements(special[b"te"]))


def _connection_options(special: dict[bytes, list[bytes]], status: int) -> frozenset[bytes]:
    """Parse Connection (RFC 9110 7.6.1) into its options, in lower case."""
    values = special.get(b"connection")
    if values is None:
        return _NO_OPTIONS
    if len(values) == 1 and (usual := _USUAL_OPTIONS.get(values[0])) is not None:
        return usual
    options = list_elements(values)
    if not all(map(is_token, options)):
        raise MalformedMessage(status, "invalid Connection")
    return frozenset(option.lower() for option in options)


def _keeps_alive(options: frozenset[bytes], minor_version: int) -> bool:
    """Apply RFC 9112 9.3."""
    return b"close" not in options and (minor_version > 0 or b"keep-alive" in options)


def response_framing(
    head: ResponseHead, special: dict[bytes, list[bytes]], request_method: bytes, offer: WebSocketOffer | None
) -> ResponseFraming:
    """Judge a response to a request with this method and this WebSocket offer.

    Raises MalformedMessage (502).
    """
    options = _connection_options(special, 502)
    if head.status == 101:
        if offer is None:
            raise MalformedMessage(502, "101 to a request without Upgrade")
        check_acceptance(offer, special, options)
    declared, length = _declared_body(special, head.minor_version)
    body, length = _response_body(head.status, request_method, declared, length)
    keep_alive = body is not BodyKind.UNTIL_CLOSE and _keeps_alive(options, head.minor_version)
    # A server that left the end of an empty 205 open, or sent chunks, may send more bytes than the
    # response has.
    if head.status == 205 and declared is not BodyKind.LENGTH:
        keep_alive = False
    told = {name: values for name, values in special.items() if name != b"content-length"}
    return ResponseFraming(head, body, length, keep_alive, told, options - _KNOWN_OPTIONS)


def _declared_body(special: dict[bytes, list[bytes]], minor_version: int) -> tuple[BodyKind, int | None]:
    """Read what the fields say about the body (RFC 9112 6.3 rules 3 to 8)."""
    codings = special.get(b"transfer-encoding")
    if codings is not None:
        _refuse_ambiguous_coding(special, minor_version, 502)
        if codings[0].lower() != b"chunked":
            raise MalformedMessage(502, "response with a transfer coding other than chunked")
        return BodyKind.CHUNKED, None
    lengths = special.get(b"content-length")
    if lengths is not None:
        return BodyKind.LENGTH, _content_length(lengths, 502)
    return BodyKind.UNTIL_CLOSE, None


def _response_body(
    status: int, request_method: bytes, declared: BodyKind, length: int | None
) -> tuple[BodyKind, int | None]:
    """Apply what method and status say about the body (RFC 9112 6.3 rule 1).

    They overrule the fields.
    """
    if status < 200 or status == 204:
        # RFC 9110 8.6, RFC 9112 6.1: neither field belongs there. `Content-Length: 0` is common and
        # clear.
        if declared is BodyKind.CHUNKED or length:
            raise MalformedMessage(502, "response with a body that its status rules out")
        return BodyKind.NONE, None
    if request_method == b"HEAD" or status == 304:
        return BodyKind.NONE, length
    if status == 205:
        # RFC 9110 15.3.6.
        if length:
            raise MalformedMessage(502, "response with a body that its status rules out")
        return BodyKind.NONE, 0
    return declared, length
