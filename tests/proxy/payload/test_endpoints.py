"""What the proxy answers itself."""

import json

import pytest

from proxy.payload.causes import Cause, PayloadFault
from proxy.payload.endpoints import WrongMethod, key_endpoint, message_for, session_endpoint
from proxy.payload.suites import BUILT_IN, info_of
from tests.payloads import NOW
from tests.proxy.payload.test_sessions import PRIVATE, SUITE, sessions

KEYS = key_endpoint(b'{"document": "x"}')
SESSIONS = session_endpoint(sessions())


def test_keys_are_for_everybody_and_for_no_cache() -> None:
    answer = KEYS(b"GET", b"", NOW)
    assert (answer.status, answer.body) == (200, b'{"document": "x"}')
    assert b"Access-Control-Allow-Origin: *\r\n" in answer.fields
    assert b"Cache-Control: no-store\r\n" in answer.fields
    assert KEYS(b"HEAD", b"", NOW) == answer


@pytest.mark.parametrize(("endpoint", "method"), [(KEYS, b"GET"), (SESSIONS, b"POST")])
def test_preflight(endpoint: object, method: bytes) -> None:
    assert callable(endpoint)
    answer = endpoint(b"OPTIONS", b"", NOW)
    assert answer.status == 204
    assert b"Access-Control-Allow-Methods: " + method in answer.fields
    with pytest.raises(WrongMethod) as caught:
        endpoint(b"DELETE", b"", NOW)
    assert method in caught.value.allowed


def test_session_is_agreed_on() -> None:
    message, _ = BUILT_IN[SUITE].seal(BUILT_IN[SUITE].public(PRIVATE), info_of(SUITE, 1))
    answer = json.loads(SESSIONS(b"POST", message_for(SUITE, 1, message), NOW).body)
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
        SESSIONS(b"POST", body, NOW)
    assert caught.value.cause is Cause.BAD_HANDSHAKE
