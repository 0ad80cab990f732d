"""What a head asks for on a route that accepts or requires encrypted bodies."""

from dataclasses import replace

import pytest

from proxy.payload.judgement import Coding, PayloadJudgement, PayloadRoute, Requirement, judge
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.messages.channel import MessageCipher
from tests.payloads import NOW, channel, framing, ring

SESSION = channel(ring(name="ticket"), is_bound=True)
BODY = "Content-Length: 9"
FERNET = "Content-Encoding: fernet"
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
GET = "GET /letters HTTP/1.1"


class Tickets:
    def channel(self, ticket: bytes, now: float) -> MessageCipher:
        assert now == NOW
        if ticket != b"good":
            raise PayloadFault(Cause.BAD_SESSION)
        return SESSION


REQUIRE = PayloadRoute(Requirement.REQUIRE, {b"chat": channel(ring(4))}, b"chat", Tickets(), takes_websockets=False)
ACCEPT = replace(REQUIRE, requirement=Requirement.ACCEPT)
NO_RING = replace(REQUIRE, rings={}, default=None)
NO_SESSIONS = replace(REQUIRE, sessions=None)
TALKING = replace(REQUIRE, takes_websockets=True)


def judged(route: PayloadRoute, *lines: str, start: str = "POST /letters HTTP/1.1") -> PayloadJudgement:
    return judge(route, framing(*lines, start=start), start.split(" ")[0].encode(), NOW)


def refusal(route: PayloadRoute, *lines: str, start: str = "POST /letters HTTP/1.1") -> Cause:
    with pytest.raises(PayloadFault) as caught:
        judged(route, *lines, start=start)
    return caught.value.cause


def forwarded(judgement: PayloadJudgement) -> set[bytes]:
    return {name for name, _ in judgement.framing.fields.forwarded}


@pytest.mark.parametrize(("coding", "expected"), [("fernet", Coding.TOKEN), ("Fernet-Stream", Coding.TOKENS)])
def test_body_that_is_encrypted_names_the_ring_of_the_route(coding: str, expected: Coding) -> None:
    judgement = judged(
        REQUIRE, BODY, f"Content-Encoding: {coding}", "Content-Type: text/plain", "Range: bytes=0-1", "Digest: x",
        "If-Range: x", "Accept-Encoding: gzip", "If-None-Match: x",
    )  # fmt: skip
    assert (judgement.coding, judgement.version, judgement.nonce) == (expected, None, b"")
    assert judgement.channel is REQUIRE.rings[b"chat"]
    assert judgement.takes_stream == (expected is Coding.TOKENS)
    assert forwarded(judgement) == {b"Content-Type", b"If-None-Match"}


def test_request_without_body_names_a_key() -> None:
    nonce = "00112233445566778899aabbccddeeff"
    judgement = judged(
        REQUIRE, "Payload-Key: chat:3", f"Payload-Nonce: {nonce}", "Payload-Accept: fernet-stream", start=GET
    )
    assert (judgement.coding, judgement.version, judgement.nonce.hex()) == (Coding.PLAIN, 3, nonce)
    assert judgement.takes_stream
    assert forwarded(judgement) == set()
    assert judged(REQUIRE, "Payload-Session: good", start=GET).channel is SESSION
    assert judged(REQUIRE, "Payload-Key: chat", "Accept-Encoding: gzip, fernet-stream;q=0.5", start=GET).takes_stream


@pytest.mark.parametrize("nonce", ["00", "x" * 32])
def test_nonce_that_is_none_binds_nothing(nonce: str) -> None:
    assert judged(REQUIRE, "Payload-Key: chat", f"Payload-Nonce: {nonce}", start=GET).nonce == b""


@pytest.mark.parametrize(
    ("route", "lines", "cause"),
    [
        (REQUIRE, [BODY], Cause.REQUIRED),
        (REQUIRE, ["Transfer-Encoding: chunked"], Cause.REQUIRED),
        (REQUIRE, ["Payload-Key: chat", BODY], Cause.REQUIRED),
        (REQUIRE, [], Cause.NO_KEY_NAMED),
        (REQUIRE, [BODY, "Content-Encoding: gzip"], Cause.BAD_CODING),
        (ACCEPT, [BODY, "Content-Encoding: gzip, fernet"], Cause.BAD_CODING),
        (ACCEPT, [BODY, FERNET, FERNET], Cause.BAD_CODING),
        (REQUIRE, [FERNET], Cause.BAD_TOKEN),
        (REQUIRE, ["Content-Length: 0", FERNET], Cause.BAD_TOKEN),
        (REQUIRE, ["Payload-Key: other"], Cause.UNKNOWN_KEY),
        (REQUIRE, ["Payload-Key: chat:x"], Cause.UNKNOWN_KEY),
        (REQUIRE, ["Payload-Key: chat:99"], Cause.UNKNOWN_KEY),
        (REQUIRE, ["Payload-Key: chat:1"], Cause.RETIRED_KEY),
        (REQUIRE, ["Payload-Key: chat", "Payload-Key: chat"], Cause.UNKNOWN_KEY),
        (REQUIRE, ["Payload-Key: chat", "Payload-Session: good"], Cause.UNKNOWN_KEY),
        (REQUIRE, ["Payload-Session: bad"], Cause.BAD_SESSION),
        (NO_SESSIONS, ["Payload-Session: good"], Cause.BAD_SESSION),
        (NO_RING, [BODY, FERNET], Cause.NO_KEY_NAMED),
        (REQUIRE, WEBSOCKET, Cause.WEBSOCKET),
        (ACCEPT, [*WEBSOCKET, "Payload-Key: chat"], Cause.WEBSOCKET),
        (TALKING, WEBSOCKET, Cause.NO_KEY_NAMED),
    ],
)
def test_refusals(route: PayloadRoute, lines: list[str], cause: Cause) -> None:
    start = GET if "Upgrade: websocket" in lines else "POST /letters HTTP/1.1"
    assert refusal(route, *lines, start=start) is cause


def test_preflight_needs_no_key() -> None:
    lines = ("Origin: https://page.test", "Access-Control-Request-Method: POST")
    assert judged(REQUIRE, *lines, start="OPTIONS /letters HTTP/1.1").channel is None
    assert refusal(REQUIRE, lines[0], start="OPTIONS /letters HTTP/1.1") is Cause.NO_KEY_NAMED


def test_accepting_route_serves_whoever_encrypts_nothing() -> None:
    judgement = judged(ACCEPT, BODY, "Content-Encoding: gzip", "Accept-Encoding: gzip")
    assert (judgement.coding, judgement.channel) == (Coding.PLAIN, None)
    assert forwarded(judgement) == {b"Content-Encoding", b"Accept-Encoding"}
    # whoever names a key gets an encrypted answer to a plain body
    assert judged(ACCEPT, BODY, "Payload-Key: chat").channel is ACCEPT.rings[b"chat"]


class TestWebSocket:
    def test_key_is_named_by_a_field(self) -> None:
        judgement = judged(TALKING, *WEBSOCKET, "Payload-Key: chat", "Sec-WebSocket-Protocol: chat", start=GET)
        offer = judgement.framing.websocket
        assert offer is not None
        assert (offer.extensions, offer.protocols, judgement.protocol) == (b"", (b"chat",), b"")

    @pytest.mark.parametrize(
        ("protocol", "named"), [("payload-key.chat~3", TALKING.rings[b"chat"]), ("payload-session.good", SESSION)]
    )
    def test_key_is_named_by_a_subprotocol(self, protocol: str, named: MessageCipher) -> None:
        judgement = judged(TALKING, *WEBSOCKET, f"Sec-WebSocket-Protocol: chat, {protocol}", start=GET)
        offer = judgement.framing.websocket
        assert offer is not None
        assert judgement.channel is named
        assert judgement.version == (3 if named is not SESSION else None)
        assert (offer.protocols, judgement.protocol) == ((b"chat",), protocol.encode())

    def test_plain_one_passes_where_nothing_is_required(self) -> None:
        judgement = judged(ACCEPT, *WEBSOCKET, start=GET)
        offer = judgement.framing.websocket
        assert offer is not None
        assert (judgement.channel, offer.extensions) == (None, b"permessage-deflate")
