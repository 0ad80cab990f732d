"""Upgrades: bytes flow past the parser only behind a 101 that proves that the upstream understood (RFC 9110 section 7.8).

Everything before, behind and beside such a 101 is HTTP, and a request that hides there must not get through.
"""

import pytest

from tests.hostile.answers import SWITCHING, Answer, Moment, Then, accept_for
from tests.hostile.client import Cut, End
from tests.hostile.scene import ALL_CUTS, CUTS, SMUGGLED, Scene, cases, request
from tests.hostile.strict_frames import Frame

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
}


def handshake(method: str = "GET", target: str = "/chat", body: bytes = b"", **changed: str | None) -> bytes:
    """An opening handshake; names in `changed` have `_` for `-`, None leaves a field out."""
    fields: dict[str, str | None] = dict(HANDSHAKE)
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    return request(
        method, target, *(f"{name}: {value}" for name, value in fields.items() if value is not None), body=body
    )


# -- protocols that are not spoken: the request continues without the wish, and what is behind it is another request

UNKNOWN = {
    "foo": ("Connection: Upgrade", "Upgrade: foo"),
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "h2c_without_settings": ("Connection: Upgrade", "Upgrade: h2c"),
    "h2c_settings_not_named": ("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "h2": ("Connection: Upgrade", "Upgrade: h2"),
    "http_2": ("Connection: Upgrade", "Upgrade: HTTP/2.0"),
    "tls": ("Connection: Upgrade", "Upgrade: TLS/1.0"),
    "irc": ("Connection: Upgrade", "Upgrade: IRC/6.9, RTA/x11"),
    "websocket_with_version": ("Connection: Upgrade", "Upgrade: websocket/13"),
    "longer": ("Connection: Upgrade", "Upgrade: websocketx"),
    "shorter": ("Connection: Upgrade", "Upgrade: websocke"),
    "in_a_list": ("Connection: Upgrade", "Upgrade: h2c, websocket"),
    "empty": ("Connection: Upgrade", "Upgrade:"),
    "not_named": ("Upgrade: foo",),
    "nothing_to_upgrade_to": ("Connection: Upgrade",),
    "spdy": ("Connection: Upgrade", "Upgrade: SPDY/3.1"),
    "connect_udp": ("Connection: Upgrade", "Upgrade: connect-udp", "Capsule-Protocol: ?1"),
}


@CUTS
@cases(UNKNOWN)
def test_an_upgrade_to_another_protocol_is_left_out(scene: Scene, case: tuple[str, ...], cut: Cut) -> None:
    scene.served(request("GET", "/outer", *case) + request("GET", "/next"), 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/next"]  # the recorder takes no Upgrade but a complete WebSocket handshake


@cases(UNKNOWN)
@pytest.mark.parametrize("status", [101, 200])
def test_an_upstream_cannot_switch_to_it(scene: Scene, case: tuple[str, ...], status: int) -> None:
    """It was not asked to; if it says so anyway, nothing flows (CVE-2026-2833, h2c smuggling)."""
    head = f"HTTP/1.1 {status} Fine\r\nConnection: Upgrade\r\nUpgrade: {case[-1].partition(': ')[2] or 'x'}\r\n"
    scene.recorder.answer_next(Answer(head.encode() + (b"" if status == 101 else b"Content-Length: 0\r\n") + b"\r\n"))
    with scene.connect() as client:
        client.send(request("GET", "/outer", *case))
        response = client.read_response()
        assert (response.status, response.values("Upgrade")) == (502 if status == 101 else 200, [])
        client.send(request("GET", "/next"))
        if response.values("Connection") == ["close"]:
            assert client.await_end() is End.CLEAN
        else:
            assert client.read_response().status == 200
    scene.settle()
    assert scene.targets[0] == "/outer"
    assert scene.recorder.frames == []


# -- with a body, parsers disagree about where the protocol begins

TOKENS = ["websocket", "foo", "h2c", "", "websocket, foo"]
FRAMINGS = {
    "length": (f"Content-Length: {len(SMUGGLED)}", SMUGGLED),
    "chunked": ("Transfer-Encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
}


@CUTS
@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_upgrade_with_a_body_is_refused(scene: Scene, method: str, token: str, framing: str, cut: Cut) -> None:
    line, body = FRAMINGS[framing]
    scene.refused(request(method, "/chat", "Connection: Upgrade", f"Upgrade: {token}", line, body=body), 400, cut=cut)


@CUTS
def test_an_empty_body_is_no_body(scene: Scene, cut: Cut) -> None:
    raw = request("POST", "/outer", "Connection: Upgrade", "Upgrade: foo", "Content-Length: 0")
    scene.served(raw + request("GET", "/next"), 200, 200, cut=cut)
    assert scene.targets == ["/outer", "/next"]


# -- WebSocket handshakes that are not good

FLAWED = {
    "version_1337": (handshake(Sec_WebSocket_Version="1337"), 426),
    "version_8": (handshake(Sec_WebSocket_Version="8"), 426),
    "version_013": (handshake(Sec_WebSocket_Version="013"), 426),
    "version_list": (handshake(Sec_WebSocket_Version="13, 8"), 426),
    "version_empty": (handshake(Sec_WebSocket_Version=""), 426),
    "version_missing": (handshake(Sec_WebSocket_Version=None), 400),
    "key_missing": (handshake(Sec_WebSocket_Key=None), 400),
    "key_empty": (handshake(Sec_WebSocket_Key=""), 400),
    "key_short": (handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZQ=="), 400),
    "key_long": (handshake(Sec_WebSocket_Key=KEY + "AAAA"), 400),
    "key_not_base64": (handshake(Sec_WebSocket_Key="!" * 22 + "=="), 400),
    "key_without_padding": (handshake(Sec_WebSocket_Key=KEY.rstrip("=")), 400),
    "key_with_loose_bits": (handshake(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZR=="), 400),
    "key_twice": (handshake(Sec_WebSocket_Key=f"{KEY}\r\nSec-WebSocket-Key: {KEY}"), 400),
    "version_twice": (handshake(Sec_WebSocket_Version="13\r\nSec-WebSocket-Version: 13"), 400),
    "upgrade_twice": (handshake(Upgrade="websocket\r\nUpgrade: h2c"), 400),
    "connection_missing": (handshake(Connection=None), 400),
    "connection_keep_alive": (handshake(Connection="keep-alive"), 400),
    "post": (handshake("POST"), 400),
    "delete": (handshake("DELETE"), 400),
    "put": (handshake("PUT"), 400),
    "protocol_not_a_token": (handshake(Sec_WebSocket_Protocol="a b"), 400),
    "host_missing": (handshake().replace(b"Host: chat.test\r\n", b""), 400),
}


@CUTS
@cases(FLAWED)
def test_a_flawed_handshake_is_refused(scene: Scene, case: tuple[bytes, int], cut: Cut) -> None:
    raw, status = case
    response = scene.refused_body(raw + SMUGGLED, status, cut=cut)
    assert scene.begun == []
    assert response.values("Sec-WebSocket-Version") == (["13"] if status == 426 else [])


@CUTS
def test_a_handshake_of_http_1_0_is_an_ordinary_request(scene: Scene, cut: Cut) -> None:
    with scene.connect() as client:
        client.send(handshake().replace(b"HTTP/1.1", b"HTTP/1.0") + SMUGGLED, cut)
        assert client.read_response().status == 200
        assert client.await_end() is End.CLEAN
    assert scene.only_request().values("Upgrade") == []


# -- answers to a good handshake

WRONG = {
    "accept_wrong": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n",
    "accept_missing": b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "accept_twice": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Accept: {accept}\r\n",
    "accept_is_the_key": f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {KEY}\r\n".encode(),
    "accept_of_another_key": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "
    + accept_for("AAAAAAAAAAAAAAAAAAAAAA==")
    + b"\r\n",
    "connection_missing": b"Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n",
    "connection_close": b"Connection: close\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n",
    "upgrade_missing": b"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n",
    "upgrade_to_another": b"Connection: Upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Accept: {accept}\r\n",
    "upgrade_to_two": b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\nSec-WebSocket-Accept: {accept}\r\n",
    "protocol_not_offered": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: x\r\n",
    "extension_not_offered": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    "with_length": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nContent-Length: 5\r\n",
    "chunked": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\nTransfer-Encoding: chunked\r\n",
}


@cases(WRONG)
def test_a_101_that_proves_nothing_is_a_bad_gateway(scene: Scene, case: bytes) -> None:
    scene.recorder.answer_next(Answer(b"HTTP/1.1 101 Switching Protocols\r\n" + case + b"\r\n\x81\x02hi"))
    with scene.connect() as client:
        client.send(handshake())
        response = client.read_response()
        assert (response.status, response.values("Upgrade")) == (502, [])
        assert client.await_end() is End.CLEAN
    scene.only_request()
    assert scene.recorder.frames == []


REFUSING = {"not_found": 404, "ok": 200, "bad_request": 400, "upgrade_required": 426, "redirect": 302}


@CUTS
@cases(REFUSING)
def test_what_a_client_sent_ahead_is_nothing_if_its_handshake_is_refused(scene: Scene, case: int, cut: Cut) -> None:
    """0ang3el: the proxy believes in a tunnel, the upstream does not, and a request in the tunnel reaches it."""
    scene.recorder.answer_next(Answer(b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\n\r\n" % case))
    with scene.connect() as client:
        client.send(handshake() + SMUGGLED, cut)
        assert client.read_response().status == case
        assert client.await_end() is End.CLEAN
    scene.settle()
    assert scene.targets == ["/chat"]


@CUTS
def test_nothing_flows_before_the_101(scene: Scene, cut: Cut) -> None:
    """The recorder fails on any byte behind a request that it has not answered."""
    scene.recorder.answer_next()
    with scene.connect() as client:
        client.send(handshake())
        scene.recorder.wait_for(lambda recorder: recorder.complete != [])
        client.send(b"\x81\x85\0\0\0\0hello", cut)
        scene.settle()
        assert scene.recorder.frames == []
        scene.recorder.say(SWITCHING)
        assert client.read_response().status == 101
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
        assert scene.recorder.frames == [Frame(0x81, b"hello")]


def test_interim_responses_before_the_101_open_nothing(scene: Scene) -> None:
    scene.recorder.answer_next(
        Answer(b"HTTP/1.1 103 Early Hints\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), SWITCHING
    )
    with scene.connect() as client:
        client.send(handshake() + b"\x81\x85\0\0\0\0hello")
        assert [client.read_response().status for _ in range(2)] == [103, 101]
        scene.recorder.wait_for(lambda recorder: recorder.frames != [])
    assert scene.recorder.frames == [Frame(0x81, b"hello")]


@ALL_CUTS
def test_a_handshake_is_written_anew(scene: Scene, cut: Cut) -> None:
    scene.recorder.answer_next(
        Answer(
            SWITCHING.data.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: b\r\n\r\n"), Moment.COMPLETE, Then.SWITCH
        )
    )
    raw = handshake(
        Connection="keep-alive , uPGRADE",
        Upgrade="WebSocket",
        Sec_WebSocket_Protocol="a,, b",
        Sec_WebSocket_Accept="forged",
        Proxy_Connection="Upgrade",
    )
    with scene.connect() as client:
        client.send(raw, cut)
        response = client.read_response()
    assert (response.status, response.values("Upgrade"), response.values("Connection")) == (
        101,
        ["websocket"],
        ["Upgrade"],
    )
    assert response.values("Sec-WebSocket-Accept") == [accept_for(KEY).decode()]
    assert response.values("Sec-WebSocket-Protocol") == ["b"]
    seen = scene.only_request()
    assert seen.values("Sec-WebSocket-Protocol") == ["a, b"]
    assert seen.values("Sec-WebSocket-Accept") == []
