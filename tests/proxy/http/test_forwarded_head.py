"""The heads that we write carry what the peer said end to end, and nothing that it said about us or for us."""

from base64 import b64encode
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.http.fields import sort_request_fields
from proxy.http.forwarded_head import (
    ForwardedPeer,
    client_cert_lines,
    trusted_request_id,
    upstream_fields,
    upstream_head,
)
from proxy.http.forwarding import NO_CHAIN, Chain
from proxy.http.framing import BodyKind, request_framing
from proxy.http.head import Header, HeadLimits, RequestHead, parse_request_head

STRANGER = ForwardedPeer.of(IPv4Address("192.0.2.7"), "X25519MLKEM768")
TRUSTED = NO_CHAIN
CHAIN = Chain(("198.51.100.2", "2001:db8::3"), b"", is_whole=True)
LIMITS = HeadLimits(target_bytes=8_192, header_count=100, header_bytes=16_384)
DATE = b"Wed, 25 Nov 2026 01:11:35 GMT"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def sent_upstream(
    *headers: Header,
    method: bytes = b"GET",
    target: bytes = b"/a?b",
    minor: int = 1,
    host: bytes = b"Example.org",
    peer: ForwardedPeer = STRANGER,
    chain: Chain | None = None,
) -> bytes:
    head = RequestHead(method, target, minor, [(b"Host", host), *headers])
    framing = request_framing(head)
    return upstream_head(head, framing, upstream_fields(head, framing, peer, chain), b"id-1")


def lines(head: bytes) -> list[bytes]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].split(b"\r\n")


OURS = [
    b"X-TLS-Group: X25519MLKEM768",
    b"X-Forwarded-For: 192.0.2.7",
    b"X-Forwarded-Proto: https",
    b'Forwarded: for=192.0.2.7;proto=https;host="Example.org"',
    b"X-Forwarded-Host: Example.org",
    b"Via: 1.1 plexigate",
]
REQUEST_ID = b"X-Request-Id: id-1"


def test_request_is_written_anew() -> None:
    head = sent_upstream((b"accept", b"*/*"), (b"Cookie", b"a=b"), (b"X-Empty", b""), (b"Via", b"1.1 edge"))
    assert lines(head) == [
        b"GET /a?b HTTP/1.1",
        b"Host: Example.org",
        b"accept: */*",
        b"Cookie: a=b",
        b"X-Empty: ",
        b"Via: 1.1 edge",
        *OURS,
        REQUEST_ID,
    ]


def test_request_without_further_fields_is_written() -> None:
    assert lines(sent_upstream()) == [b"GET /a?b HTTP/1.1", b"Host: Example.org", *OURS, REQUEST_ID]


def test_version_that_was_received_is_named() -> None:
    head = lines(sent_upstream(minor=0))
    assert head[0] == b"GET /a?b HTTP/1.1"
    assert head[-2] == b"Via: 1.0 plexigate"


def test_http_2_is_named_as_the_version_that_was_received() -> None:
    head = RequestHead(b"GET", b"/", 1, [(b"host", b"example.org")], major_version=2)
    framing = request_framing(head)
    written = lines(upstream_head(head, framing, upstream_fields(head, framing, STRANGER), b"id-1"))
    assert written[0] == b"GET / HTTP/1.1"
    assert written[-2] == b"Via: 2.0 plexigate"


def test_absolute_form_is_sent_as_origin_form_and_host_with_its_port() -> None:
    head = lines(sent_upstream(target=b"https://example.org:8443/x", host=b"example.org:8443"))
    assert head[:2] == [b"GET /x HTTP/1.1", b"Host: example.org:8443"]
    assert b'Forwarded: for=192.0.2.7;proto=https;host="example.org:8443"' in head


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"Content-Length", b"007")], [b"Content-Length: 7"]),
        ([(b"Content-Length", b"0")], [b"Content-Length: 0"]),
        ([(b"Transfer-Encoding", b"Chunked")], [b"Transfer-Encoding: chunked"]),
        ([(b"Content-Length", b"7"), (b"Expect", b"100-Continue")], [b"Expect: 100-continue", b"Content-Length: 7"]),
        (
            [(b"Transfer-Encoding", b"chunked"), (b"Expect", b"100-continue")],
            [b"Expect: 100-continue", b"Transfer-Encoding: chunked"],
        ),
        ([(b"Expect", b"100-continue")], []),
        ([(b"TE", b"gzip, trailers")], [b"Connection: TE", b"TE: trailers"]),
        ([(b"TE", b"gzip")], []),
    ],
)
def test_framing_and_hop_by_hop_fields_are_ours(headers: list[Header], expected: list[bytes]) -> None:
    assert lines(sent_upstream(*headers, method=b"POST"))[2:] == [*OURS, *expected, REQUEST_ID]


def test_what_concerns_only_the_next_hop_is_gone() -> None:
    head = sent_upstream(
        (b"Connection", b"keep-alive, X-Secret, Via, X-Request-Id, X-Forwarded-For, Forwarded, X-TLS-Group"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"Proxy", b"http://evil"),
        (b"Upgrade", b"h2c"),
        (b"HTTP2-Settings", b"AAMAAABk"),
        (b"Trailer", b"X-Sum"),
        (b"Sec-WebSocket-Key", KEY),
        (b"X-Secret", b"1"),
    )
    assert lines(head) == [b"GET /a?b HTTP/1.1", b"Host: Example.org", *OURS, REQUEST_ID]


SPOOFED = [
    (b"X-Forwarded-For", b"127.0.0.1"),
    (b"X-Forwarded-Proto", b"http"),
    (b"X-Forwarded-Host", b"evil"),
    (b"X-Forwarded-Port", b"1"),
    (b"Forwarded", b"for=127.0.0.1"),
    (b"X-Real-IP", b"127.0.0.1"),
    (b"X-TLS-Group", b"evil"),
    (b"X-Request-Id", b"evil"),
    (b"Client-Cert", b":evil:"),
    (b"SSL-Client-Verify", b"SUCCESS"),
]


def test_claims_of_a_stranger_are_gone_and_their_twins_too() -> None:
    twins = [(name.replace(b"-", b"_"), value) for name, value in SPOOFED]
    assert lines(sent_upstream(*SPOOFED, *twins)) == [b"GET /a?b HTTP/1.1", b"Host: Example.org", *OURS, REQUEST_ID]


def test_claims_of_a_trusted_peer_are_extended() -> None:
    twins = [(name.replace(b"-", b"_"), b"twin") for name, _ in SPOOFED if b"-" in name]
    claims = [
        (b"X-Forwarded-For", b"198.51.100.1"),
        (b"x-forwarded-for", b"198.51.100.2, 2001:db8::3"),
        (b"X-Forwarded-For", b""),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"chat.example"),
        (b"X-Forwarded-Port", b"443"),
        (b"Forwarded", b"for=198.51.100.1"),
        (b"X-Real-IP", b"198.51.100.1"),
        (b"X-TLS-Group", b"secp256r1"),
        (b"X-Request-Id", b"theirs"),
        (b"Client-Cert", b":aa:"),
    ]
    assert lines(sent_upstream(*claims, *twins, chain=CHAIN)) == [
        b"GET /a?b HTTP/1.1",
        b"Host: Example.org",
        b"X-TLS-Group: X25519MLKEM768",
        b"X-Forwarded-Port: 443",
        b"X-Real-IP: 198.51.100.2",
        b"Client-Cert: :aa:",
        b"X-Forwarded-For: 198.51.100.2, 2001:db8::3, 192.0.2.7",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: chat.example",
        b'Forwarded: for=198.51.100.2;proto=http, for="[2001:db8::3]", for=192.0.2.7;proto=https;host="Example.org"',
        b"Via: 1.1 plexigate",
        REQUEST_ID,
    ]


@pytest.mark.parametrize(
    "claims",
    [
        [(b"X-Forwarded-Proto", b"gopher"), (b"X-Forwarded-Host", b"")],
        [(b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Proto", b"https")],
        [(b"X-Forwarded-Host", b"a"), (b"X-Forwarded-Host", b"b")],
    ],
)
def test_muddled_claims_of_a_trusted_peer_are_replaced(claims: list[Header]) -> None:
    head = lines(sent_upstream(*claims, chain=TRUSTED))
    assert [line for line in head if line.startswith(b"X-Forwarded-Proto")] == [b"X-Forwarded-Proto: https"]
    assert [line for line in head if line.startswith(b"X-Forwarded-Host")] == [b"X-Forwarded-Host: Example.org"]


def test_forwarded_is_sent_on_as_the_trusted_peer_wrote_it_where_it_was_read() -> None:
    claims = [(b"X-Forwarded-For", b"203.0.113.9"), (b"Forwarded", b"for=203.0.113.9, for=198.51.100.2;by=_lb")]
    chain = Chain(("198.51.100.2",), b"for=198.51.100.2;by=_lb", is_whole=True)
    head = lines(sent_upstream(*claims, chain=chain))
    assert b'Forwarded: for=198.51.100.2;by=_lb, for=192.0.2.7;proto=https;host="Example.org"' in head
    assert b"X-Forwarded-For: 198.51.100.2, 192.0.2.7" in head


def test_no_hop_is_named_that_is_not_believed() -> None:
    claims = [(name, b"203.0.113.9") for name in (b"X-Forwarded-For", b"X-Real-IP", b"True-Client-IP")]
    head = sent_upstream(*claims, (b"Forwarded", b"for=203.0.113.9"), chain=Chain((), b"", is_whole=False))
    assert b"203.0.113.9" not in head
    assert {b"X-Real-IP: 192.0.2.7", b"True-Client-IP: 192.0.2.7", b"X-Forwarded-For: 192.0.2.7"} <= set(lines(head))


def test_trusted_peer_without_claims_is_a_client() -> None:
    assert lines(sent_upstream(chain=TRUSTED)) == lines(sent_upstream())


def test_trusted_peer_cannot_be_made_to_drop_itself() -> None:
    connection = (b"Connection", b"X-Forwarded-For, Forwarded")
    claims = [(b"X-Forwarded-For", b"198.51.100.1"), (b"X-Real-IP", b"198.51.100.1")]
    assert b"X-Forwarded-For: 192.0.2.7" in lines(sent_upstream(connection, *claims, chain=TRUSTED))


@pytest.mark.parametrize(
    ("address", "shown", "node"),
    [
        ("192.0.2.7", b"192.0.2.7", b"192.0.2.7"),
        ("::ffff:192.0.2.7", b"192.0.2.7", b"192.0.2.7"),
        ("2001:db8::7", b"2001:db8::7", b'"[2001:db8::7]"'),
        ("fe80::7%eth0", b"fe80::7", b'"[fe80::7]"'),
    ],
)
def test_peer_is_shown_by_its_address(address: str, shown: bytes, node: bytes) -> None:
    head = lines(sent_upstream(peer=ForwardedPeer.of(ip_address(address), "X25519")))
    assert b"X-Forwarded-For: " + shown in head
    assert b"Forwarded: for=" + node + b';proto=https;host="Example.org"' in head
    assert b"X-TLS-Group: X25519" in head


def test_ipv4_address_needs_no_parser() -> None:
    shown = ForwardedPeer.of_ipv4("192.0.2.7", "X25519")
    assert shown == ForwardedPeer.of(ip_address("192.0.2.7"), "X25519")


def test_host_that_is_an_address_is_quoted() -> None:
    head = lines(sent_upstream(host=b"[::1]:443"))
    assert b'Forwarded: for=192.0.2.7;proto=https;host="[::1]:443"' in head


def test_websocket_handshake_is_written_anew() -> None:
    handshake = [
        (b"Upgrade", b"WebSocket"),
        (b"Connection", b"keep-alive, Upgrade"),
        (b"Sec-WebSocket-Key", KEY),
        (b"Sec-WebSocket-Version", b"13"),
        (b"TE", b"trailers"),
        (b"Origin", b"https://example.org"),
    ]
    expected = [
        b"GET /a?b HTTP/1.1",
        b"Host: Example.org",
        b"Origin: https://example.org",
        *OURS,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: " + KEY,
    ]
    assert lines(sent_upstream(*handshake)) == [*expected, REQUEST_ID]
    offers = [
        (b"Sec-WebSocket-Protocol", b"chat,v2"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        (b"Sec-WebSocket-Extensions", b"x-foo"),
    ]
    assert lines(sent_upstream(*handshake, *offers)) == [
        *expected,
        b"Sec-WebSocket-Protocol: chat, v2",
        b"Sec-WebSocket-Extensions: permessage-deflate, x-foo",
        REQUEST_ID,
    ]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"0123-abc._:=+/@"], b"0123-abc._:=+/@"),
        ([b"a" * 128], b"a" * 128),
        ([b"a" * 129], None),
        ([b""], None),
        ([b'a"b'], None),
        ([b"a b"], None),
        ([b"a", b"a"], None),
        ([], None),
    ],
)
def test_request_id_is_kept_if_sane(values: list[bytes], expected: bytes | None) -> None:
    fields = sort_request_fields([(b"X-Real-IP", b"x"), *((b"X-REQUEST-ID", value) for value in values)])
    assert trusted_request_id(fields) == expected


names = st.sampled_from([name for name, _ in SPOOFED] + [b"Accept", b"X-Custom", b"Via", b"Trailer", b"Date"])
headers_in_any_mixture = st.lists(st.tuples(names, st.sampled_from([b"", b"1", b"a, b", b"http"])), max_size=12)
addresses = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address)


@given(headers_in_any_mixture, addresses, st.booleans())
def test_written_request_is_one_that_we_would_take(
    headers: list[Header],
    address: IPv4Address | IPv6Address,
    is_trusted: bool,  # noqa: FBT001
) -> None:
    peer = ForwardedPeer.of(address, "X25519MLKEM768")
    written = parse_request_head(sent_upstream(*headers, peer=peer, chain=CHAIN if is_trusted else None), LIMITS)
    framing = request_framing(written)
    assert (framing.host_field, framing.target, framing.body) == (b"Example.org", b"/a?b", BodyKind.NONE)
    for name in (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"x-request-id"):
        assert sum(sent.lower() == name for sent, _ in written.headers) == 1
    last_hop = next(value for name, value in written.headers if name == b"X-Forwarded-For").split(b", ")[-1]
    assert last_hop == peer.address


class TestClientCertificate:
    """What the upstream is told of certificates, and by whom (RFC 9440 section 4)."""

    LINE = b"Client-Cert: :AAAA:\r\n"

    @pytest.mark.parametrize("is_trusted", [True, False])
    @pytest.mark.parametrize(
        "name",
        [
            *(
                b"Client-Cert",
                b"client-cert",
                b"CLIENT-CERT-CHAIN",
                b"Client_Cert",
                b"client.cert",
                b"Client-Cert-Subject",
            ),
            *(b"X-Client-Cert", b"X-SSL-Client-Verify", b"SSL-Client-Cert", b"ssl_client_s_dn"),
            *(b"X-Forwarded-Client-Cert", b"x-forwarded-tls-client-cert-info"),
        ],
    )
    @pytest.mark.parametrize("certificate", [LINE, b""])
    def test_claims_never_pass_where_clients_are_asked(
        self, name: bytes, certificate: bytes, *, is_trusted: bool
    ) -> None:
        peer = ForwardedPeer.of(IPv4Address("192.0.2.7"), "X25519", certificate)
        chain = NO_CHAIN if is_trusted else None
        sent = sent_upstream((name, b":forged:"), (b"X-Forwarded-For", b"192.0.2.9"), peer=peer, chain=chain)
        assert b"forged" not in sent
        assert sent.count(self.LINE) == sent.lower().count(b"cert") == (1 if certificate else 0)

    def test_a_trusted_peer_may_hand_on_what_it_has_asked_for(self) -> None:
        field = (b"Client-Cert", b":AAAA:")
        assert self.LINE in sent_upstream(field, chain=TRUSTED)
        assert b"Client-Cert" not in sent_upstream(field, peer=STRANGER)


LEAF, INNER, OUTER = b"\x30\x03leaf", b"\x30\x05inner", b"\x30\x05outer"


def test_leaf_alone_has_no_chain() -> None:
    assert client_cert_lines(LEAF, ()) == b"Client-Cert: :%b:\r\n" % b64encode(LEAF)


@pytest.mark.parametrize("chain", [(INNER,), (INNER, OUTER)])
def test_chain_is_a_list_of_byte_sequences_in_the_order_of_tls(chain: tuple[bytes, ...]) -> None:
    leaf, above, rest = client_cert_lines(LEAF, chain).split(b"\r\n")
    assert (leaf, rest) == (b"Client-Cert: :%b:" % b64encode(LEAF), b"")
    name, _, members = above.partition(b": ")
    assert name == b"Client-Cert-Chain"
    assert members.split(b", ") == [b":%b:" % b64encode(one) for one in chain]
