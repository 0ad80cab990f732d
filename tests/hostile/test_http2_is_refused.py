"""Only ALPN leads to HTTP/2: neither its preface nor an upgrade does, so no attack gets around what a listener offers."""

import ssl

import pytest

from tests.hostile.client import Client, Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """An HTTP/2 frame (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


# HPACK: :method GET, :scheme https, :path /, :authority chat.test
FIELDS = b"\x82\x87\x84\x41\x09chat.test"
OPENING = PREFACE + frame(SETTINGS)

ATTACKS = {
    "nothing_more": b"",
    "request": frame(HEADERS, FIELDS, 5, 1),
    "rapid_reset": b"".join(
        frame(HEADERS, FIELDS, 5, i) + frame(RST_STREAM, b"\0\0\0\x08", 0, i) for i in range(1, 4_001, 2)
    ),
    "made_you_reset": b"".join(
        frame(HEADERS, FIELDS, 5, i) + frame(WINDOW_UPDATE, bytes(4), 0, i) for i in range(1, 4_001, 2)
    ),
    "continuation_flood": frame(HEADERS, FIELDS, 1, 1) + frame(CONTINUATION, b"\x00\x01a\x01b", 0, 1) * 5_000,
    "empty_continuations": frame(HEADERS, FIELDS, 1, 1) + frame(CONTINUATION, b"", 0, 1) * 20_000,
    "hpack_bomb": frame(HEADERS, FIELDS + b"\x40\x01a\x00" + b"\xbe" * 12_000, 5, 1),
    "cookie_crumbs": frame(HEADERS, FIELDS + b"\x60\x01a" * 5_000, 5, 1),
    "settings_flood": frame(SETTINGS) * 10_000,
    "ping_flood": frame(PING, bytes(8)) * 10_000,
    "priority_flood": b"".join(frame(PRIORITY, bytes(5), 0, i) for i in range(1, 10_001, 2)),
    "empty_data_flood": frame(HEADERS, FIELDS, 4, 1) + frame(DATA, b"", 0, 1) * 10_000,
    "zero_length_names": frame(HEADERS, FIELDS + b"\x00\x00\x00" * 5_000, 5, 1),
    "newline_in_a_value": frame(HEADERS, FIELDS + b"\x00\x01a\x1bb\r\nTransfer-Encoding: chunked"[:31], 5, 1),
    "newline_in_the_path": frame(HEADERS, b"\x82\x87\x04\x0c/\r\nHost: evil\x41\x09chat.test", 5, 1),
    "request_in_the_method": frame(HEADERS, b"\x02\x14GET /smuggled HTTP/1.\x87\x84\x41\x09chat.test", 5, 1),
    "length_that_is_wrong": frame(HEADERS, FIELDS + b"\x5c\x011", 4, 1) + frame(DATA, SMUGGLED, 1, 1),
    "transfer_encoding": frame(HEADERS, FIELDS + b"\x00\x11transfer-encoding\x07chunked", 4, 1)
    + frame(DATA, b"0\r\n\r\n" + SMUGGLED, 1, 1),
    "http_1_behind": SMUGGLED,
}


@cases(ATTACKS)
@pytest.mark.parametrize("cut", [Cut.WHOLE, Cut.SEGMENTS], ids=["whole", "in_segments"])
def test_the_preface_is_refused_whatever_follows(scene: Scene, case: bytes, cut: Cut) -> None:
    before = scene.proxy.usage()
    with scene.connect() as client:
        client.send(PREFACE, cut)
        client.send(frame(SETTINGS) + case)
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
        client.send(request("GET", "/1", *case) + OPENING + frame(HEADERS, FIELDS, 5, 1), cut)
        first, second = client.read_response(), client.read_response()
        assert (first.status, first.values("Upgrade"), second.status) == (200, [], 505)
        assert client.await_end() is End.CLEAN
    seen = scene.only_request()
    assert (seen.values("Upgrade"), seen.values("HTTP2-Settings")) == ([], [])


def offering(scene: Scene, *protocols: str) -> Client:
    """A connection whose client speaks these."""
    address = scene.proxy.listeners["public"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(address.trusted)
    context.set_alpn_protocols(list(protocols))
    return Client(address, "chat.test", context)


@cases(
    {
        "h2c": ("h2c",),
        "h3": ("h3",),
        "many": ("h3", "spdy/3.1"),
        "longer": ("http/1.1x",),
        "http_2": ("http/2",),
    }
)
def test_a_client_that_speaks_nothing_else_gets_no_application_protocol(scene: Scene, case: tuple[str, ...]) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        offering(scene, *case)


@cases({"only": ("http/1.1",), "last_of_many": ("h3", "x", "http/1.1")})
def test_a_client_that_chose_http_1_1_cannot_change_its_mind(scene: Scene, case: tuple[str, ...]) -> None:
    with offering(scene, *case) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"
        client.send(OPENING)
        assert client.read_response().status == 505
    scene.settle()
    assert scene.begun == []


def test_a_client_that_says_nothing_speaks_http_1_1(scene: Scene) -> None:
    with scene.connect() as client:
        assert client.tls.selected_alpn_protocol() is None
        client.send(request("GET", "/1"))
        assert client.read_response().status == 200
