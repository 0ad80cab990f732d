"""The head that we write to the upstream (RFC 9110 section 7.6).

The proxy writes only what it has parsed. It writes every field between two neighbours itself. The
fields that a peer's `Connection` removes are gone before (see `fields`), so a client cannot remove
our fields by naming them.
"""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final, assert_never

from proxy.http.fields import CERTIFICATE_CLAIMS, Fields
from proxy.http.forwarding import Chain
from proxy.http.framing import BodyKind, RequestFraming
from proxy.http.head import Header, RequestHead
from proxy.http.via import NAMELESS, OwnVia
from proxy.http.websocket.upgrade import WebSocketOffer

_REWRITTEN_CLAIMS: Final = frozenset(
    {b"x-forwarded-for", b"forwarded", b"x-request-id", b"x-forwarded-host", b"x-forwarded-proto"}
)
# Each says nothing but the address of the client. A peer that does not know one of them may pass it
# on from an untrusted client.
_CLIENT_NAMES: Final = frozenset({b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip", b"true-client-ip"})

# Safe in a log line and in a field, long enough for every tracing system.
_REQUEST_ID: Final = re.compile(rb"[0-9A-Za-z._:=+/@-]{1,128}")


@dataclass(slots=True, init=False)
class ForwardedPeer:
    """The field lines that tell upstreams about the peer of a connection.

    They are written once for all requests of the connection.
    """

    address: bytes
    """As X-Forwarded-For has it: an IPv4-mapped address as IPv4, no zone."""
    element: bytes
    """The element of Forwarded up to its host (RFC 7239 section 4)."""
    group: bytes
    """The field that names the negotiated group, and those about the client's certificate."""
    lines: bytes
    asks_for_certificates: bool
    """Whether clients prove here who they are.

    Then what a peer says of certificates is removed, also if it is trusted (RFC 9440 section 4).
    Else a trusted peer may hand on the certificate of its client: it asked for it.
    """
    via: OwnVia
    """How the proxy itself is known."""

    def __init__(
        self,
        address: bytes,
        element: bytes,
        group: bytes,
        lines: bytes,
        asks_for_certificates: bool,  # noqa: FBT001 - a fact
        via: OwnVia,
    ) -> None:
        self.address = address
        self.element = element
        self.group = group
        self.lines = lines
        self.asks_for_certificates = asks_for_certificates
        self.via = via

    @classmethod
    def of(
        cls,
        address: IPv4Address | IPv6Address,
        group: str,
        certificate: bytes | None = None,
        own: OwnVia = NAMELESS,
    ) -> "ForwardedPeer":
        """Describe the peer at `address`, whose handshake negotiated `group`.

        `certificate` are the lines of `client_cert`; None if clients are not asked for one.
        """
        shown = address.ipv4_mapped or IPv6Address(int(address)) if isinstance(address, IPv6Address) else address
        text = str(shown).encode("ascii")
        return cls._told(text, _node(text), group, certificate, own)

    @classmethod
    def of_ipv4(
        cls, address: str, group: str, certificate: bytes | None = None, own: OwnVia = NAMELESS
    ) -> "ForwardedPeer":
        """The same for an IPv4 address as the kernel writes it: `ip_address` would take 4 µs."""
        text = address.encode("ascii")
        return cls._told(text, text, group, certificate, own)

    @classmethod
    def _told(cls, text: bytes, node: bytes, group: str, certificate: bytes | None, own: OwnVia) -> "ForwardedPeer":
        element = b'for=%b;proto=https;host="' % node
        group_line = b"X-TLS-Group: %b\r\n%b" % (group.encode("ascii"), certificate or b"")
        lines = b"%bX-Forwarded-For: %b\r\nX-Forwarded-Proto: https\r\nForwarded: %b" % (group_line, text, element)
        return cls(text, element, group_line, lines, certificate is not None, own)


def trusted_request_id(fields: Fields) -> bytes | None:
    """Return the X-Request-Id of a trusted peer, if it sent a single sane one."""
    values = [value for name, value in fields.claims if name.lower() == b"x-request-id"]
    return values[0] if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]) else None


def upstream_head(
    head: RequestHead, framing: RequestFraming, fields: bytes, request_id: bytes, target: bytes | None = None
) -> bytes:
    """Write the head of the request to the upstream; `fields` are those of `upstream_fields`.

    `target` is given if it is not that of the request.
    """
    asked = framing.target if target is None else target
    return b"%b %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n\r\n" % (head.method, asked, fields, request_id)


def upstream_fields(
    head: RequestHead, framing: RequestFraming, peer: ForwardedPeer, chain: Chain | None = None
) -> bytes:
    """Write the field lines that the upstream gets, all but the request's id.

    They follow from the peer and from all of the request but its target. So requests that differ
    only in their target share them. `framing` says how the body is framed: replace its `body` and
    `length` if the proxy changes the body on the way. `chain` are the hops behind a
    trusted peer, None for other peers.
    """
    return with_forwarded(framing, own_lines(head, framing, peer, chain))


def with_forwarded(framing: RequestFraming, own: bytes) -> bytes:
    """The `upstream_fields` of a request whose `own_lines` are known."""
    body = _request_body_line(framing)
    connection = _connection_lines(framing)
    return b"Host: %b\r\n%b%b%b%b" % (framing.host_field, framing.fields.lines, own, body, connection)


def own_lines(head: RequestHead, framing: RequestFraming, peer: ForwardedPeer, chain: Chain | None) -> bytes:
    """The lines about the peer and the way, behind the forwarded ones.

    If the peer is not trusted, neither a forwarded field nor the body plays a part in them.
    """
    if chain is not None and framing.fields.claims:
        forwarding = _extended_claims(framing, peer, chain)
    else:
        forwarding = b'%b%b"\r\nX-Forwarded-Host: %b\r\n' % (peer.lines, framing.host_field, framing.host_field)
    via = peer.via.lines[head.minor_version] if head.major_version == 1 else peer.via.line_of_http_2
    return forwarding + via


def _extended_claims(framing: RequestFraming, peer: ForwardedPeer, chain: Chain) -> bytes:
    """Write the forwarding fields of a trusted peer, with the peer itself as the last element.

    They name the believed hops and no others, so the first element is the client: many servers take
    that one. Fields that name nothing but a client name the same one.
    """
    hops = [hop.encode("ascii") for hop in chain.addresses]
    client = hops[0] if hops else peer.address
    protos: list[bytes] = []
    hosts: list[bytes] = []
    kept: list[Header] = []
    for name, value in framing.fields.claims:
        lowered = name.lower()
        if lowered == b"x-forwarded-proto" and value:
            protos.append(value)
        elif lowered == b"x-forwarded-host" and value:
            hosts.append(value)
        elif lowered in _CLIENT_NAMES:
            kept.append((name, client))
        elif not (
            lowered in _REWRITTEN_CLAIMS or (peer.asks_for_certificates and lowered.startswith(CERTIFICATE_CLAIMS))
        ):
            kept.append((name, value))
    proto = protos[0] if protos in ([b"http"], [b"https"]) else b"https"
    ours = b'%b%b"' % (peer.element, framing.host_field)
    lines = (
        (b"X-Forwarded-For", b", ".join([*hops, peer.address])),
        (b"X-Forwarded-Proto", proto),
        (b"X-Forwarded-Host", hosts[0] if len(hosts) == 1 else framing.host_field),
        (b"Forwarded", b", ".join([*_elements(chain, hops, proto), ours])),
    )
    return peer.group + field_lines(kept) + field_lines(lines)


def _elements(chain: Chain, hops: list[bytes], proto: bytes) -> list[bytes]:
    if chain.elements or not hops:
        return [chain.elements] if hops else []
    return [b"for=%b;proto=%b" % (_node(hops[0]), proto), *(b"for=%b" % _node(hop) for hop in hops[1:])]


def _node(address: bytes) -> bytes:
    """An address as Forwarded has it.

    RFC 7239 section 6: an IPv6 address is bracketed, and then quoted for its colons.
    """
    return b'"[%b]"' % address if address.find(b":") >= 0 else address


def _request_body_line(framing: RequestFraming) -> bytes:
    expect = b"Expect: 100-continue\r\n" if framing.expects_continue else b""
    match framing.body:
        case BodyKind.NONE | BodyKind.UNTIL_CLOSE:
            return b""
        case BodyKind.LENGTH:
            return b"%bContent-Length: %d\r\n" % (expect, framing.length)
        case BodyKind.CHUNKED:
            return b"%bTransfer-Encoding: chunked\r\n" % expect
        case _:  # pragma: no cover  mypy proves it
            assert_never(framing.body)


def _connection_lines(framing: RequestFraming) -> bytes:
    if framing.websocket is not None:
        return _offer_lines(framing.websocket)
    # RFC 9110 10.1.4: TE is hop-by-hop. We take trailers from the upstream if the client takes them
    # from us.
    return b"Connection: TE\r\nTE: trailers\r\n" if framing.accepts_trailers else b""


def _offer_lines(offer: WebSocketOffer) -> bytes:
    """Write the opening handshake again (RFC 6455 4.1)."""
    lines = [
        (b"Connection", b"Upgrade"),
        (b"Upgrade", b"websocket"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", offer.key),
    ]
    if offer.protocols:
        lines.append((b"Sec-WebSocket-Protocol", b", ".join(offer.protocols)))
    if offer.extensions:
        lines.append((b"Sec-WebSocket-Extensions", offer.extensions))
    return field_lines(lines)


def field_lines(headers: Sequence[Header]) -> bytes:
    return b"\r\n".join([b": ".join(header) for header in headers]) + b"\r\n" if headers else b""


def client_cert_lines(leaf: bytes, chain: Sequence[bytes]) -> bytes:
    """Write the fields about a certificate and the chain above it, without the root, all in DER.

    RFC 9440 section 2.1: each certificate is a Byte Sequence (RFC 8941 section 3.3.5).
    """
    lines = b"Client-Cert: %b\r\n" % _byte_sequence(leaf)
    if chain:
        lines += b"Client-Cert-Chain: %b\r\n" % b", ".join(map(_byte_sequence, chain))
    return lines


def _byte_sequence(der: bytes) -> bytes:
    return b":%b:" % b64encode(der)
