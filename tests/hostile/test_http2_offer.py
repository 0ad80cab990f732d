"""Nothing but ALPN leads to HTTP/2: no preface, no upgrade, no offer of another name (RFC 9113 section 3)."""

import ssl

import pytest

from tests.hostile import http2_frames as h2
from tests.hostile.client import Client, Cut, End
from tests.hostile.http2_client import Http2Client
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

# HPACK: :method GET, :scheme https, :path /, :authority chat.test
FIELDS = b"\x82\x87\x84\x41\x09chat.test"
OPENING = h2.HELLO

ATTACKS = {
    "nothing_more": b"",
    "request": h2.frame(h2.HEADERS, FIELDS, 5, 1),
    "rapid_reset": b"".join(
        h2.frame(h2.HEADERS, FIELDS, 5, i) + h2.frame(h2.RST_STREAM, b"\0\0\0\x08", 0, i) for i in range(1, 4_001, 2)
    ),
    "made_you_reset": b"".join(
        h2.frame(h2.HEADERS, FIELDS, 5, i) + h2.frame(h2.WINDOW_UPDATE, bytes(4), 0, i) for i in range(1, 4_001, 2)
    ),
    "continuation_flood": h2.frame(h2.HEADERS, FIELDS, 1, 1)
    + h2.frame(h2.CONTINUATION, b"\x00\x01a\x01b", 0, 1) * 5_000,
    "empty_continuations": h2.frame(h2.HEADERS, FIELDS, 1, 1) + h2.frame(h2.CONTINUATION, b"", 0, 1) * 20_000,
    "hpack_bomb": h2.frame(h2.HEADERS, FIELDS + b"\x40\x01a\x00" + b"\xbe" * 12_000, 5, 1),
    "cookie_crumbs": h2.frame(h2.HEADERS, FIELDS + b"\x60\x01a" * 5_000, 5, 1),
    "settings_flood": h2.frame(h2.SETTINGS) * 10_000,
    "ping_flood": h2.frame(h2.PING, bytes(8)) * 10_000,
    "priority_flood": b"".join(h2.frame(h2.PRIORITY, bytes(5), 0, i) for i in range(1, 10_001, 2)),
    "empty_data_flood": h2.frame(h2.HEADERS, FIELDS, 4, 1) + h2.frame(h2.DATA, b"", 0, 1) * 10_000,
    "zero_length_names": h2.frame(h2.HEADERS, FIELDS + b"\x00\x00\x00" * 5_000, 5, 1),
    "newline_in_a_value": h2.frame(h2.HEADERS, FIELDS + b"\x00\x01a\x1bb\r\nTransfer-Encoding: chunked"[:31], 5, 1),
    "newline_in_the_path": h2.frame(h2.HEADERS, b"\x82\x87\x04\x0c/\r\nHost: evil\x41\x09chat.test", 5, 1),
    "request_in_the_method": h2.frame(h2.HEADERS, b"\x02\x14GET /smuggled HTTP/1.\x87\x84\x41\x09chat.test", 5, 1),
    "length_that_is_wrong": h2.frame(h2.HEADERS, FIELDS + b"\x5c\x011", 4, 1) + h2.frame(h2.DATA, SMUGGLED, 1, 1),
    "transfer_encoding": h2.frame(h2.HEADERS, FIELDS + b"\x00\x11transfer-encoding\x07chunked", 4, 1)
    + h2.frame(h2.DATA, b"0\r\n\r\n" + SMUGGLED, 1, 1),
    "http_1_behind": SMUGGLED,
}


@cases(ATTACKS)
@pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.SEGMENTS], ids=["whole", "in_segments"])
def test_the_preface_is_refused_whatever_follows(scene: Scene, case: bytes, cut: Cut) -> None:
    before = scene.proxy.usage()
    with scene.connect() as client:
        client.send(h2.PREFACE, cut)
        client.send(h2.frame(h2.SETTINGS) + case)
        response = client.read_response()
        assert (response.status, response.values("Connection")) == (505, ["close"])
        assert client.read_to_end() == b""
    assert scene.proxy.usage().cpu_seconds - before.cpu_seconds < 0.2
    scene.settle()
    assert scene.begun == []


@ALL_CUTS
def test_the_preface_is_refused_however_it_is_cut(scene: Scene, cut: Cut) -> None:
    scene.refused(OPENING + SMUGGLED, 505, cut=cut)


@CUTS
def test_the_preface_behind_a_request_is_refused(scene: Scene, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/1") + OPENING + SMUGGLED, cut)
        assert [client.read_response().status for _ in range(2)] == [200, 505]
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.begun == ["/1"]


UPGRADES = {
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "h2c_and_websocket": ("Connection: Upgrade", "Upgrade: websocket, h2c"),
    "h2": ("Connection: Upgrade", "Upgrade: h2"),
}


@CUTS
@cases(UPGRADES)
def test_an_upgrade_does_not_lead_there(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    with scene.connect() as client:
        client.send(request("GET", "/1", *case) + OPENING + h2.frame(h2.HEADERS, FIELDS, 5, 1), cut)
        first, second = client.read_response(), client.read_response()
        assert (first.status, first.values("Upgrade"), second.status) == (200, [], 505)
        assert client.await_end() is End.CLEAN
    seen = scene.only_request()
    assert (seen.values("Upgrade"), seen.values("HTTP2-Settings")) == ([], [])


def offering(scene: Scene, *protocols: str, listener: str = "public", server_name: str = "chat.test") -> Client:
    """A connection whose client speaks these."""
    address = scene.proxy.listeners[listener]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(address.trusted)
    context.set_alpn_protocols(list(protocols))
    return Client(address, server_name, context)


UNKNOWN = {
    "h2c": ("h2c",),
    "h3": ("h3",),
    "h2_14": ("h2-14",),
    "upper_case": ("H2",),
    "many": ("h2x", "h3", "spdy/3.1"),
    "longer": ("http/1.1x",),
    "http_2": ("http/2",),
}


@cases(UNKNOWN)
def test_a_client_that_speaks_nothing_else_gets_no_application_protocol(scene: Scene, case: tuple[str, ...]) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        offering(scene, *case)


def test_a_listener_that_offers_no_http_2_has_none(scene: Scene) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        offering(scene, "h2", listener="older")
    with offering(scene, "h2", "http/1.1", listener="older") as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        client.send(OPENING)
        assert client.read_response().status == 505
    scene.settle()
    assert scene.begun == []


@cases({"both": ("h2", "http/1.1"), "other_order": ("http/1.1", "h2"), "last_of_many": ("h3", "x", "http/1.1", "h2")})
def test_a_client_that_speaks_both_gets_http_2(scene: Scene, case: tuple[str, ...]) -> None:
    with offering(scene, *case) as client:
        assert client.tls.selected_alpn_protocol() == "h2"


@CUTS
def test_http_1_where_http_2_was_chosen_is_refused(scene: Scene, cut: Cut) -> None:
    with offering(scene, "h2") as client:
        client.send(SMUGGLED, cut)
        received = bytearray(client.read_to_end())
        assert client.end is End.CLEAN
    frames = list(h2.frames_of(received))
    assert not received, "half a frame"
    assert [one.kind for one in frames] == [h2.SETTINGS, h2.WINDOW_UPDATE, h2.GOAWAY]
    assert frames[-1].code == h2.PROTOCOL_ERROR
    scene.settle()
    assert scene.begun == []


def test_a_client_that_says_nothing_speaks_http_1_1(scene: Scene) -> None:
    with scene.connect() as client:
        assert client.tls.selected_alpn_protocol() is None
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200


COALESCED = {
    "name_of_the_same_identity": (b"a.chat.test", 200),
    "name_of_another_identity": (b"other.test", 421),
    "name_of_nobody": (b"evil.test", 421),
    "name_without_a_route": (b"empty.test", 404),
    "name_with_a_dot": (b"other.test.", 421),
    "address": (b"127.0.0.1", 421),
}


def test_a_connection_serves_the_names_of_its_identity_alone(scene: Scene) -> None:
    """A client may use one connection for all names of its certificate (RFC 9113 section 9.1.1), and for no other."""
    with scene.connect_http2() as client:
        client.open()
        for number, (name, status) in enumerate(COALESCED.values()):
            client.send(h2.frame(h2.HEADERS, h2.block(h2.fields(b"/x", authority=name)), h2.WHOLE, 2 * number + 1))
            assert (name, client.answer(2 * number + 1).status) == (name, status)
    scene.settle()
    assert scene.targets == ["/x"]


def test_a_route_that_wants_more_of_tls_than_the_connection_has_refuses_its_streams(scene: Scene) -> None:
    address = scene.proxy.listeners["public"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(address.trusted)
    context.set_alpn_protocols(["h2"])
    context.set_ecdh_curve("prime256v1")
    with Http2Client(address, context=context) as client:
        client.open()
        client.send(h2.get(1, b"/pq") + h2.get(3, b"/x"))
        assert [one.status for one in client.answers(1, 3)] == [403, 200]
    scene.settle()
    assert scene.targets == ["/x"]
