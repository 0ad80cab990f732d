"""The client's side against the proxy's own parts: what one makes the other reads, and nothing else."""

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from proxy.http.local_answers import LocalAnswer, LocalRequest
from proxy.payload.client import AnswerNotSealed, PayloadClient, SealedRequest, SessionOffer
from proxy.payload.endpoints import session_endpoint
from proxy.payload.key_document import DocumentRefused, Identity, PublicKey
from proxy.payload.keys.liboqs import suites_of
from proxy.payload.keys.suites import BUILT_IN
from proxy.payload.messages.binding import BoundExchange, Direction
from proxy.payload.messages.causes import PayloadFault
from proxy.payload.messages.channel import MessageCipher, MessageEnvelope
from proxy.payload.messages.codec import LARGEST_PLAIN
from proxy.payload.messages.stream import LARGEST_PIECE, FrameOpener, StreamOpener, StreamSealer, Vow, framed
from tests.payloads import MESSAGE_ID, NOW, WINDOW, channel, ring, secret
from tests.proxy.payload.keys.test_liboqs import package
from tests.proxy.payload.test_endpoints import RATE
from tests.proxy.payload.test_sessions import PRIVATE, SUITE, sessions

URL = "https://Chat.test:8443/letters?room=1"


def exported(*, bind: bool = False, envelope: str = "none") -> dict[str, Any]:
    keys = [{"version": 2, "state": "active", "key": key(2)}, {"version": 1, "state": "valid", "key": key(1)}]
    return {"ring": "chat", "bind": bind, "envelope": envelope, "max_age_seconds": 60, "keys": keys}


def key(number: int) -> str:
    import base64

    return base64.urlsafe_b64encode(secret(number)).decode()


def client(*, bind: bool = False, envelope: str = "none") -> PayloadClient:
    return PayloadClient.of_ring(exported(bind=bind, envelope=envelope), lambda: NOW)


def place(of: MessageCipher, method: bytes = b"POST", target: bytes = b"/letters?room=1") -> BoundExchange:
    return BoundExchange(method, b"chat.test", target, of.key)


def nonce(sealed: SealedRequest) -> bytes:
    return bytes.fromhex(sealed.headers["Payload-Nonce"])


@pytest.mark.parametrize("bind", [False, True])
@pytest.mark.parametrize("envelope", MessageEnvelope)
def test_token_and_its_answer(envelope: MessageEnvelope, bind: bool) -> None:  # noqa: FBT001 - parametrized
    proxy = channel(ring(1), is_bound=bind, envelope=envelope)
    sealed = client(bind=bind, envelope=envelope.value).request("POST", URL, b"hello")
    assert sealed.headers["Payload-Key"] == "chat:2"
    assert (sealed.headers["Content-Encoding"], sealed.headers["Payload-Accept"]) == ("fernet", "fernet-stream")
    assert isinstance(sealed.body, bytes)
    message = proxy.open(Direction.REQUEST, sealed.body, place(proxy).digest(Direction.REQUEST), NOW, None)
    assert message.plain == b"hello"
    vow = Vow(MESSAGE_ID, place(proxy).digest(Direction.RESPONSE, nonce(sealed)))
    answer = proxy.seal(Direction.RESPONSE, b"world", vow, NOW, 1)
    headers = {"content-encoding": "fernet"}
    assert sealed.open(200, headers, answer) == b"world"
    assert b"".join(sealed.pieces(200, headers, [answer[:9], answer[9:]])) == b"world"
    if bind:
        with pytest.raises(PayloadFault):  # the answer to another request of the same client
            client(bind=True, envelope=envelope.value).request("POST", URL, b"hello").open(200, headers, answer)


@pytest.mark.parametrize(
    "body", [bytes(LARGEST_PLAIN + 1), [b"a" * LARGEST_PIECE, b"b" * 10, b"", b"c" * LARGEST_PIECE], []]
)
def test_what_is_large_or_comes_in_pieces_is_a_stream(body: bytes | list[bytes]) -> None:
    proxy = channel(ring(1))
    sealed = client().request("POST", URL, body)
    assert sealed.headers["Content-Encoding"] == "fernet-stream"
    assert sealed.body is not None
    assert not isinstance(sealed.body, bytes)
    opener = StreamOpener(proxy.requests, place(proxy).digest(Direction.REQUEST), WINDOW)
    plain = b"".join(piece for token in sealed.body for piece in opener.receive_data(token, NOW))
    opener.finish()
    assert plain == (body if isinstance(body, bytes) else b"".join(body))
    assert opener.message_id == nonce(sealed)


def test_answer_that_is_a_stream() -> None:
    proxy = channel(ring(1))
    sealed = client().request("GET", "https://chat.test")
    assert sealed.body is None
    assert "Content-Encoding" not in sealed.headers
    digest = place(proxy, b"GET", b"/").digest(Direction.RESPONSE, nonce(sealed))
    sealer = StreamSealer(proxy.responses, Vow(MESSAGE_ID, digest), 1)
    sealer.receive_data(b"hello")
    stream = sealer.data_to_send(NOW) + sealer.finish(NOW)
    headers = {"Content-Encoding": "fernet-stream"}
    assert sealed.open(200, headers, stream) == b"hello"
    with pytest.raises(PayloadFault):
        sealed.open(200, headers, stream.splitlines(keepends=True)[0])


@pytest.mark.parametrize(
    ("body", "cause"),
    [(b'{"type": "urn:x"}', "urn:x"), (b'{"type": 1}', None), (b"<html>", None), (b"[]", None), (b"{}", None)],
)
def test_answer_that_is_not_encrypted_is_nobodys_word(body: bytes, cause: str | None) -> None:
    with pytest.raises(AnswerNotSealed) as caught:
        client().request("GET", URL).open(502, {}, body)
    assert (caught.value.status, caught.value.cause) == (502, cause)
    assert str(caught.value).startswith("the answer (502) is not encrypted")


def test_answer_without_content() -> None:
    for status in (204, 205, 304):
        assert client().request("GET", URL).open(status, {}, b"") == b""
    assert client().request("HEAD", URL).open(200, {"Content-Encoding": "fernet"}, b"") == b""
    for headers in ({}, {"Content-Encoding": "fernet"}):  # whoever stands between cannot make an answer empty
        with pytest.raises(AnswerNotSealed):
            client().request("GET", URL).open(200, headers, b"")


def test_session_from_the_document_to_the_answer() -> None:
    identity = Identity.generate()
    keys = [PublicKey("unknown", 1, b""), PublicKey(SUITE, 1, BUILT_IN[SUITE].public(PRIVATE))]
    signed = identity.signed(keys, NOW, NOW + 60)
    offer = SessionOffer.to(signed, identity.pinned, NOW)
    assert "secret" not in repr(offer)
    answer = session_endpoint(sessions(), RATE)(LocalRequest(b"POST", b"chat.test", b"/x", [], offer.body), NOW)
    assert isinstance(answer, LocalAnswer)
    ticket = answer.body
    talking = offer.accepted(ticket, lambda: NOW)
    sealed = talking.request("PUT", URL, b"hello")
    assert sealed.headers["Payload-Session"] == json.loads(ticket)["ticket"]
    assert "Payload-Key" not in sealed.headers
    proxy = sessions().channel(sealed.headers["Payload-Session"].encode(), NOW)
    assert isinstance(sealed.body, bytes)
    digest = place(proxy, b"PUT").digest(Direction.REQUEST)
    assert proxy.open(Direction.REQUEST, sealed.body, digest, NOW, None).plain == b"hello"
    with pytest.raises(DocumentRefused, match="none of its suites is at hand: unknown, MLKEM768-X25519"):
        SessionOffer.to(signed, identity.pinned, NOW, {})


@pytest.mark.parametrize("theirs", ["FrodoKEM-976-AES/1184/1072", ""])
def test_key_of_another_variant_is_refused_with_both(theirs: str) -> None:
    """FrodoKEM-976-AES is another algorithm in liboqs 0.15 and 0.16, under one name."""
    identity, suites = Identity.generate(), suites_of(package(), ["FrodoKEM-976-AES"])
    (frodo,) = suites.values()
    key = PublicKey(frodo.name, 1, frodo.public(frodo.generate()), theirs)
    signed = identity.signed([key], NOW, NOW + 60)
    with pytest.raises(
        DocumentRefused, match=f"{theirs or 'of no variant'} there, and FrodoKEM-976-AES/1184/1088 here"
    ):
        SessionOffer.to(signed, identity.pinned, NOW, suites)
    good = PublicKey(SUITE, 1, BUILT_IN[SUITE].public(PRIVATE))
    signed = identity.signed([key, good], NOW, NOW + 60)
    assert SessionOffer.to(signed, identity.pinned, NOW, {**suites, **BUILT_IN}).suite == SUITE
    same = PublicKey(frodo.name, 1, key.public, frodo.variant)
    assert SessionOffer.to(identity.signed([same], NOW, NOW + 60), identity.pinned, NOW, suites).suite == frodo.name


def test_key_that_does_not_fit_its_suite_is_refused() -> None:
    identity = Identity.generate()
    signed = identity.signed([PublicKey(SUITE, 1, b"short")], NOW, NOW + 60)
    with pytest.raises(DocumentRefused, match=f"the key of {SUITE} is none"):
        SessionOffer.to(signed, identity.pinned, NOW)


@pytest.mark.parametrize("bind", [False, True])
def test_messages_of_a_websocket(bind: bool) -> None:  # noqa: FBT001 - parametrized
    proxy = channel(ring(1), is_bound=bind)
    socket = client(bind=bind).websocket("wss://chat.test/letters")
    assert socket.headers.keys() == {"Payload-Key", "Payload-Nonce"}
    here = place(proxy, b"GET", b"/letters")
    frames = FrameOpener(here.digest(Direction.REQUEST))
    for text in (b"one", b"two"):
        plain = proxy.requests.open(socket.seal(text), WINDOW, NOW).plain
        assert (frames.open(plain) if bind else plain) == text
    vow = Vow(MESSAGE_ID, here.digest(Direction.RESPONSE, bytes.fromhex(socket.headers["Payload-Nonce"])))
    answer = framed(vow, 0, b"three", is_last=False) if bind else b"three"
    assert socket.open(proxy.responses.seal(answer, NOW)) == b"three"


def test_clock_decides() -> None:
    proxy = replace(channel(ring(1)), window=WINDOW)
    late = PayloadClient.of_ring(exported(), lambda: NOW - 100).request("POST", URL, b"hello")
    assert isinstance(late.body, bytes)
    with pytest.raises(PayloadFault):
        proxy.open(Direction.REQUEST, late.body, b"", NOW, None)


def test_it_needs_nothing_but_cryptography() -> None:
    code = "import sys, proxy.payload.client; print(*sorted({'pydantic', 'config', 'aiohttp'} & sys.modules.keys()))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert told.stdout.split() == []
