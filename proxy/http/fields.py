"""One pass over the fields of a head, which finds those that a proxy may not simply forward.

Each name is looked up once, as it was sent. The tables hold the usual spellings of the names that
they know, so an ordinary field costs one look-up. A slower check covers all other spellings.

It refuses nothing: `head` refuses by syntax and size, and `framing` judges the special fields.
`forwarded_head` writes the forwarded ones. Neither reads the other fields again. The fields of
responses are classified one by one, because the proxy remembers those of a server (see
`responses`).
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, Final

from mypy_extensions import i64, mypyc_attr

from proxy.http.grammar import WHITESPACE, is_field_value, is_token
from proxy.http.head import Header, as_header

# What a client must never say itself: the fields, and their forerunners of many proxies.
CERTIFICATE_CLAIMS: Final = (
    *(b"client-cert", b"x-client-cert", b"ssl-", b"x-ssl-"),
    # of Envoy, and of Traefik
    *(b"x-forwarded-client-cert", b"x-forwarded-tls-client-cert"),
)
"""How the names of all such fields begin, in lower case."""


class Treatment(Enum):
    """What happens to a field of a given name."""

    FORWARD = auto()
    NOTE = auto()
    """Forward it, and remember it."""
    SPECIAL = auto()
    """It is about one connection (hop-by-hop): read it, and write our own."""
    CLAIM = auto()
    """A claim about the client or its request: believed from a trusted peer only."""
    REMOVE = auto()


# An attribute of an enum class costs more than a global.
_FORWARD: Final = Treatment.FORWARD
_NOTE: Final = Treatment.NOTE
_SPECIAL: Final = Treatment.SPECIAL
_CLAIM: Final = Treatment.CLAIM

_NO_NAMES: Final[frozenset[bytes]] = frozenset()
_SPACE: Final = 0x20
_COOKIE_BYTES: Final = len("cookie")
_PRIORITY_BYTES: Final = len("priority")


@mypyc_attr(acyclic=True, free_list_len=1)
class FieldLine:
    """A field line of a request. What it means does not depend on the lines around it."""

    def __init__(self, sent: bytes, name_length: int, treatment: Treatment, line: bytes, header: Any = None) -> None:
        """`sent` is the line as it came, without its CRLF; `line` is as it goes on, with a CRLF.

        `header` is its `Header`, if that exists already: then no line came. Its type is not
        declared: compiled code keeps the parts of a tuple whose type it knows, and makes a new one
        for each reader.
        """
        self.sent: Final = sent
        self.name_length: Final = name_length
        self.treatment: Final = treatment
        self.goes_on: Final = treatment is _FORWARD or treatment is _NOTE
        self.is_judged: Final = treatment is _SPECIAL or treatment is _NOTE
        """Whether `framing` or the route looks at its value."""
        self.is_ordinary: Final = treatment is _FORWARD and not (
            (name_length == _COOKIE_BYTES and line.startswith(b"cookie:"))
            or (name_length == _PRIORITY_BYTES and line.startswith(b"priority:"))
        )
        """Whether it only goes on, where it stands, over HTTP/2 as well."""
        self.is_length: Final = treatment is _SPECIAL and line.startswith(b"content-length:")
        """Whether it is Content-Length, in lower case as HTTP/2 has it."""
        self.line: Final = line
        self._header: Any = header

    @property
    def header(self) -> Any:
        """Its name and its value, made on first use: most are only forwarded."""
        if self._header is None:
            self._header = as_header(self.sent)
        return self._header

    def is_of(self, header: Any) -> bool:
        """Whether this is the line of such a field; its own header exists already."""
        return self._header is header or (self.has_name_of(header) and self.has_value_of(header))

    def has_name_of(self, header: Any) -> bool:
        own: Header = self._header
        other: Header = header
        return own[0] == other[0]

    def has_value_of(self, header: Any) -> bool:
        """Whether it has the value of a field with the same name."""
        own: Header = self._header
        other: Header = header
        if own[1] != other[1]:
            return False
        self._header = header  # the same object comes again, perhaps
        return True


@mypyc_attr(acyclic=True, free_list_len=1)
class Fields:
    """The fields of a request, sorted. They never change."""

    def __init__(
        self,
        sent: list[FieldLine],
        special: dict[bytes, list[bytes]],
        removed: frozenset[bytes] = _NO_NAMES,
        written: bytes | None = None,
        shape: dict[bytes, list[bytes]] | None = None,
    ) -> None:
        """`written` are the `lines`, if they were put together already.

        `shape` is the `special` of other fields, if it differs in the length of the body alone.
        """
        self.sent: Final = sent
        """All lines in their order."""
        self.special: Final = special
        """Lower-case name of a special or noted field -> the value of each of its field lines."""
        self.shape: Final = special if shape is None else shape
        """One object for all that say the same, but for the length of the body."""
        self.removed: Final = removed
        """Lower-case names of the fields that `Connection` keeps from going on, present or not."""
        self._written = written

    @property
    def forwarded(self) -> list[Header]:
        """End-to-end fields, as sent and in their order."""
        return [line.header for line in self.sent if line.goes_on]

    @property
    def claims(self) -> list[Header]:
        """Fields by which a trusted peer describes its client."""
        return [line.header for line in self.sent if line.treatment is _CLAIM]

    @property
    def lines(self) -> bytes:
        """The forwarded fields as they are written, each with its CRLF."""
        if self._written is None:
            self._written = b"".join([line.line for line in self.sent if line.goes_on])
        return self._written

    def without(self, options: frozenset[bytes]) -> "Fields":
        """Leave out what `Connection` names (RFC 9110 7.6.1), as far as it may.

        `options` are in lower case. A proxy in front passes on the options of an untrusted client.
        So they remove no field that this proxy judges or writes: nothing that the tables know, and
        no claim. A claim of a trusted peer that goes missing would make its client the peer.
        """
        removed = frozenset(name for name in options if not _is_known(name))
        return Fields([line for line in self.sent if line.header[0].lower() not in removed], self.special, removed)


def read_request_field(sent: bytes, like: FieldLine | None) -> FieldLine | None:
    """Read a field line of a request, without its CRLF.

    `like` is a line that probably has the same name, which then needs no judgement. None if it is
    not certainly one well-formed line (RFC 9112 section 5).
    """
    if like is not None and sent[: like.name_length + 1] == like.sent[: like.name_length + 1]:
        length = like.name_length
        treatment = like.treatment
    else:
        length = sent.find(b":")
        name = sent[: max(length, 0)]
        if not is_token(name):
            return None
        treatment = _REQUEST_TREATMENTS.get(name) or _treat_in_request(name)
    line = _forwarded(sent, length)
    return None if line is None else FieldLine(sent, length, treatment, line)


def _forwarded(sent: bytes, name_length: int) -> bytes | None:
    """A line as it goes on; None if there is no value of a field behind its name."""
    if not is_field_value(sent):  # what is in a name may be in a value
        return None
    place: i64 = name_length + 1
    last: i64 = len(sent) - 1
    # nearly every line has one space there, and goes on as it came
    if last > place and sent[place] == _SPACE and sent[place + 1] > _SPACE and sent[last] > _SPACE:
        return sent + b"\r\n"
    return b"%b: %b\r\n" % (sent[:name_length], sent[place:].strip(WHITESPACE))


def request_line(header: Any) -> FieldLine:
    """The line of a field of a request, as it goes on if its name lets it."""
    name: bytes = header[0]
    return written_line(header, _REQUEST_TREATMENTS.get(name) or _treat_in_request(name))


def own_line(header: Header) -> FieldLine:
    """A line of ours: it goes on also if a client may not send a field of this name."""
    return written_line(header, _FORWARD)


def written_line(header: Any, treatment: Treatment) -> FieldLine:
    """The line of a field whose treatment is known: that of its name, or of an equal one."""
    pair: Header = header  # the typed one is taken apart at once, the other stays one object
    name, value = pair
    return FieldLine(b"", len(name), treatment, b"%b: %b\r\n" % (name, value), header)


def special_values(lines: list[FieldLine]) -> dict[bytes, list[bytes]]:
    """Lower-case name of each special or noted field among these -> its values."""
    special: dict[bytes, list[bytes]] = {}
    for line in lines:
        if line.is_judged:
            header: Header = line.header
            name = header[0].lower()
            values = special.get(name)  # compiled, `setdefault` raises an exception where there is none
            if values is None:
                special[name] = [header[1]]
            else:
                values.append(header[1])
    return special


def sort_request_fields(headers: Iterable[Header]) -> Fields:
    sent = [request_line(header) for header in headers]
    return Fields(sent, special_values(sent))


@mypyc_attr(acyclic=True, free_list_len=1)
class ResponseField:
    """A field of a response with what happens to it."""

    def __init__(
        self,
        sent: bytes,
        start: bytes,
        treatment: Treatment,
        line: bytes,
        name: bytes,
        is_lasting: bool,  # noqa: FBT001 - a fact
    ) -> None:
        """`sent` is the line as it came, without its CRLF; `line` is as it goes on, with a CRLF.

        `start` is its name with the colon, and `name` is the name in lower case. A field that
        `is_lasting` may be remembered, and is worth it.
        """
        self.sent: Final = sent
        self.start: Final = start
        self.treatment: Final = treatment
        self.line: Final = line
        self.name: Final = name
        self.is_lasting: Final = is_lasting
        self._field: Any = None

    @property
    def value(self) -> bytes:
        return self.line[len(self.name) + 2 : -2]

    @property
    def field(self) -> Any:
        """Name and value for a client of HTTP/2: one object, which its encoder knows again."""
        if self._field is None:
            self._field = (self.name, self.value)
        return self._field


def read_response_field(sent: bytes, like: ResponseField | None) -> ResponseField | None:
    """Read a field line of a response, as `read_request_field` reads one of a request.

    `like` has the same name, if it is given.
    """
    if like is not None:
        name = like.name
        start = like.start
        treatment = like.treatment
        is_lasting = like.is_lasting
    else:
        name = sent[: max(sent.find(b":"), 0)]
        if not is_token(name):
            return None
        treatment = _RESPONSE_TREATMENTS.get(name) or _treat_in_response(name)
        start = name + b":"
        name = name.lower()
        is_lasting = name not in _PASSING
    line = _forwarded(sent, len(name))
    return None if line is None else ResponseField(sent, start, treatment, line, name, is_lasting)


def classify_in_response(header: Header) -> ResponseField:
    """Say what happens to a field of a response."""
    name = header[0]
    treatment = _RESPONSE_TREATMENTS.get(name) or _treat_in_response(name)
    line = b"%b: %b\r\n" % header
    lowered = name.lower()
    return ResponseField(line[:-2], name + b":", treatment, line, lowered, lowered not in _PASSING)


def plain_name(name: bytes) -> bytes:
    """The name in lower case, with `-` for every character that is neither letter nor digit.

    Gateway interfaces of the CGI family read names of one plain name as the same: to them
    `X_Forwarded_For` and `X.Forwarded.For` are `X-Forwarded-For`.
    """
    return name.lower().translate(_DASHED)


def _treat_in_request(name: bytes) -> Treatment:
    """Decide on a name that the table does not hold in this spelling.

    The proxy removes a twin (see `plain_name`) of a name that is not simply forwarded, from trusted
    peers as well.
    """
    lowered = name.lower()
    plain = lowered.translate(_DASHED)
    treatment = _REQUEST_TREATMENTS.get(plain)
    if treatment is None:
        treatment = Treatment.CLAIM if plain.startswith(_CLAIM_PREFIXES) else Treatment.FORWARD
    if plain != lowered and treatment is not Treatment.FORWARD:
        return Treatment.REMOVE
    return treatment


def _is_known(name: bytes) -> bool:
    """Whether the proxy judges or writes fields of this lower-case name, or of a twin."""
    plain = name.translate(_DASHED)
    return plain in _REQUEST_TREATMENTS or plain.startswith(_KNOWN_PREFIXES)


def _treat_in_response(name: bytes) -> Treatment:
    return _RESPONSE_TREATMENTS.get(name.lower(), Treatment.FORWARD)


def may_be_trailer(name: bytes) -> bool:
    """Say whether a field of this lower-case name may come behind the body (RFC 9110 6.5.1).

    Fields that decide on framing, routing, authentication or processing of the content may not. The
    decision was made before the trailers arrived; a merge into the head would change it afterwards.
    """
    return (
        name not in _NEVER_TRAILERS
        and not name.startswith(b"content-")
        and _treat_in_request(name) is Treatment.FORWARD
        and _treat_in_response(name) is Treatment.FORWARD
    )


def _spellings(names: str, treatment: Treatment) -> dict[bytes, Treatment]:
    """Map each name, also in lower case, capitalised and in upper case, to its treatment."""
    return {
        spelling: treatment
        for name in names.encode().split()
        for spelling in (name, name.lower(), name.title(), name.upper())
    }


_DASHED: Final = bytes(code if bytes([code]).isalnum() else ord("-") for code in range(256))

# How TLS offloaders hand on the client's certificate, and every X-Forwarded-*.
_CLAIM_PREFIXES: Final = (b"x-forwarded", *CERTIFICATE_CLAIMS)

# Besides the tables: what payload encryption, authentication and answers of the proxy judge, and
# what describes the content to servers.
_KNOWN_PREFIXES: Final = (*_CLAIM_PREFIXES, b"payload-", b"content-", b"sec-", b"access-control-", b"if-", b"digest")

# RFC 9110 7.6.1, and what was hop-by-hop before: Keep-Alive, Proxy-Connection. Proxy credentials
# are for the client's own proxy, not for an origin. `Proxy` becomes HTTP_PROXY in a CGI environment
# (httpoxy). HTTP2-Settings belongs to an upgrade that is never passed on. Trailer, Via and
# X-TLS-Group: see `forwarded_head`.
_HOP_BY_HOP: Final = (
    "keep-alive proxy-connection proxy-authorization proxy-authenticate proxy-authentication-info proxy http2-settings"
)

_REQUEST_TREATMENTS: Final = {
    # What browsers and the clients of chat servers send. They are here for speed only: an unknown
    # name is forwarded as well.
    **_spellings(
        "accept accept-charset accept-encoding accept-language authorization cache-control content-encoding"
        " content-language content-type cookie dnt if-match if-modified-since if-none-match if-range"
        " if-unmodified-since origin pragma priority range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform"
        " sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc traceparent tracestate"
        " upgrade-insecure-requests user-agent x-csrf-token x-requested-with",
        Treatment.FORWARD,
    ),
    # It may say that the proxy has had the request before.
    **_spellings("via", Treatment.NOTE),
    **_spellings(
        "host connection content-length transfer-encoding expect upgrade te"
        " sec-websocket-key sec-websocket-version sec-websocket-protocol sec-websocket-extensions",
        Treatment.SPECIAL,
    ),
    # Some servers and authorization servers take X-Original-URL and similar fields for the target,
    # so an untrusted client would pass the rules of another path.
    **_spellings(
        "forwarded x-real-ip x-request-id x-client-ip x-cluster-client-ip true-client-ip"
        " x-original-url x-original-uri x-original-method x-original-host x-rewrite-url",
        Treatment.CLAIM,
    ),
    **_spellings(_HOP_BY_HOP + " trailer x-tls-group sec-websocket-accept", Treatment.REMOVE),
}

_RESPONSE_TREATMENTS: Final = {
    **_spellings(
        "accept-ranges access-control-allow-credentials access-control-allow-origin age allow cache-control"
        " content-disposition content-encoding content-language content-range content-security-policy content-type"
        " ETag expires last-modified link location referrer-policy retry-after server set-cookie"
        " strict-transport-security vary via WWW-Authenticate x-content-type-options x-frame-options",
        Treatment.FORWARD,
    ),
    **_spellings("date x-request-id", Treatment.NOTE),
    **_spellings(
        "connection content-length transfer-encoding trailer upgrade"
        " sec-websocket-accept sec-websocket-protocol sec-websocket-extensions",
        Treatment.SPECIAL,
    ),
    **_spellings(_HOP_BY_HOP + " te", Treatment.REMOVE),
}

SECRETS_OF_RESPONSES: Final = frozenset({b"set-cookie", b"www-authenticate", b"authentication-info"})
"""A secret of one client must not stay in a memory that survives its response."""
# Nor is it worth a place there what is new in each response.
_PASSING: Final = SECRETS_OF_RESPONSES | {b"content-length", b"etag", b"x-request-id", b"traceparent", b"server-timing"}

_NEVER_TRAILERS: Final = frozenset(
    b"accept accept-charset accept-encoding accept-language age authorization cache-control cookie expires if-match"
    b" if-modified-since if-none-match if-range if-unmodified-since location max-forwards origin pragma range"
    b" retry-after set-cookie vary via warning www-authenticate".split()
)


def cookie_value(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The value of the first cookie with this name, or None. Cookie names are case-sensitive."""
    start = name + b"="
    for field, value in headers:
        if field.lower() == b"cookie":
            for pair in value.split(b";"):
                cookie = pair.strip(b" \t")
                if cookie.startswith(start):
                    return cookie[len(start) :]
    return None
