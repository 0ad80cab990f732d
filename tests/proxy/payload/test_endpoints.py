"""What the proxy answers itself."""

import json
from collections.abc import Callable

import pytest

from proxy.http.local_answers import LocalAnswer, LocalRequest, WrongMethod
from proxy.limits.request_rates import RequestRate
from proxy.payload.endpoints import (
    SlowAnswer,
    key_endpoint,
    session_endpoint,
)
from proxy.payload.keys.keyring import Keyring
from proxy.payload.keys.liboqs import suites_of
from proxy.payload.keys.suites import BUILT_IN, info_of
from proxy.payload.messages.causes import Cause, PayloadFault
from proxy.payload.sessions import Sessions, message_for
from tests.payloads import NOW, WINDOW, ring
from tests.proxy.payload.keys.test_liboqs import package
from tests.proxy.payload.test_sessions import PRIVATE, SUITE, sessions

KEYS = key_endpoint(b'{"document": "x"}')
RATE = RequestRate.of("slow", 1.0, 1, is_per_client=True)
SESSIONS = session_endpoint(sessions(), RATE)


Answering = Callable[[LocalRequest, float], LocalAnswer | SlowAnswer]


def asking(method: bytes, body: bytes = b"") -> LocalRequest:
    return LocalRequest(method, b"chat.test", b"/x", [], body)


def answered(endpoint: Answering, method: bytes, body: bytes = b"") -> LocalAnswer:
    """What is answered at once."""
    answer = endpoint(asking(method, body), NOW)
    assert isinstance(answer, LocalAnswer)
    return answer


def test_keys_are_for_everybody_and_a_client_that_has_them_gets_them_no_second_time() -> None:
    answer = answered(KEYS, b"GET")
    assert (answer.status, answer.body) == (200, b'{"document": "x"}')
    assert b"Access-Control-Allow-Origin: *\r\n" in answer.fields
    assert b"Cache-Control: no-cache\r\n" in answer.fields
    assert KEYS(asking(b"HEAD"), NOW) == answer
    tag = answer.fields.partition(b"ETag: ")[2].partition(b"\r\n")[0]
    for known, status in ((tag, 304), (b'W/"other", ' + tag, 304), (b'"other"', 200)):
        again = KEYS(LocalRequest(b"GET", b"chat.test", b"/x", [(b"If-None-Match", known)], b""), NOW)
        assert again.status == status
        assert (again.body == b"") is (status == 304)
        assert tag in again.fields
        assert b"Access-Control-Allow-Origin: *\r\n" in again.fields
    assert tag not in key_endpoint(b"{}")(asking(b"GET"), NOW).fields


@pytest.mark.parametrize(("endpoint", "method"), [(KEYS, b"GET"), (SESSIONS, b"POST")])
def test_preflight(endpoint: object, method: bytes) -> None:
    assert callable(endpoint)
    answer = endpoint(asking(b"OPTIONS"), NOW)
    assert answer.status == 204
    assert b"Access-Control-Allow-Methods: " + method in answer.fields
    with pytest.raises(WrongMethod) as caught:
        endpoint(asking(b"DELETE"), NOW)
    assert method in caught.value.allowed


def test_session_is_agreed_on() -> None:
    message, _ = BUILT_IN[SUITE].seal(BUILT_IN[SUITE].public(PRIVATE), info_of(SUITE, 1))
    answer = json.loads(answered(SESSIONS, b"POST", message_for(SUITE, 1, message)).body)
    assert answer["expires"] == int(NOW + 3_600)
    assert sessions().channel(answer["ticket"].encode(), NOW).is_session


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b'{"suite": "x", "key": "1", "message": ""}',
        b'{"suite": 1, "key": 1, "message": ""}',
        b'{"suite": "x", "key": 1, "message": 7}',
        b'{"suite": "x", "key": 1, "message": "!"}',
        b"[" * 60_000,
        message_for(SUITE, 1, bytes(1_168)),
    ],
    ids=lambda body: body[:20].decode(),
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(PayloadFault) as caught:
        SESSIONS(asking(b"POST", body), NOW)
    assert caught.value.cause is Cause.BAD_HANDSHAKE


def test_session_of_a_slow_suite_is_answered_once_its_secret_is_there() -> None:
    slow = suites_of(package(), ["HQC-5"])["X25519-HQC256"]
    private = slow.generate()
    kems = {slow.name: (slow, Keyring.fresh(":kem:y", private, NOW, slow.variant))}
    of = Sessions(ring(name=":tickets"), kems, 3_600.0, WINDOW, lambda *_: None)
    message, secret = slow.seal(slow.public(private), info_of(slow.name, 1))
    found = session_endpoint(of, RATE)(asking(b"POST", message_for(slow.name, 1, message)), NOW)
    assert isinstance(found, SlowAnswer)
    assert found.rate is RATE
    assert found.secret() == secret
    ticket = json.loads(found.answer(secret).body)["ticket"]
    assert of.channel(ticket.encode(), NOW).is_session
