"""The counters of a route."""

from dataclasses import replace

from proxy.http.websocket.close import ClosedBy, WebSocketClose
from proxy.observe.counts.counters import Counters
from tests.proxy.observe.counts.counting import REQUEST


def test_a_websocket_is_no_slow_request_and_its_bytes_are_counted_as_they_come() -> None:
    counters = Counters()
    route = counters.route("chat.test/")
    route.websockets += 1
    route.from_client.bytes += 5
    route.to_client.messages += 2
    closed = WebSocketClose(4004, ClosedBy.SERVER)
    counters.request(replace(REQUEST, status=101, duration=86_400.0, messages=(1, 2), closed=closed))
    snapshot = counters.snapshot()
    assert sum(snapshot["request_seconds"][0]["counts"]) == 0
    assert sum(snapshot["first_byte_seconds"][0]["counts"]) == 1
    assert snapshot["bytes"] == [{"route": "chat.test/", "request": 0, "response": 0}]
    assert snapshot["websockets"] == [{"route": "chat.test/", "count": 1, "open": 0}]
    assert snapshot["websocket_closes"] == [{"route": "chat.test/", "class": "application", "by": "server", "count": 1}]
    assert snapshot["websocket_traffic"] == [
        {"route": "chat.test/", "direction": "from_client", "messages": 0, "bytes": 5},
        {"route": "chat.test/", "direction": "to_client", "messages": 2, "bytes": 0},
    ]


def test_encrypted_messages_are_counted_by_ring_and_refusals_by_cause() -> None:
    counters = Counters()
    chat, sessions = (counters.route("chat.test/").messages(ring) for ring in ("chat", ":sessions"))
    assert counters.route("chat.test/").messages("chat") is chat is not sessions
    chat.opened += 2
    chat.sealed += 1
    sessions.opened += 1
    for status, error in ((400, "payload: expired"), (400, "payload: expired"), (405, "payload"), (502, "payload: x")):
        counters.request(replace(REQUEST, status=status, error=error))
    counters.request(replace(REQUEST, route=None, status=400, error="payload: session-request-invalid"))
    snapshot = counters.snapshot()
    assert snapshot["payload_messages"] == [
        {"route": "chat.test/", "ring": "chat", "opened": 2, "sealed": 1},
        {"route": "chat.test/", "ring": ":sessions", "opened": 1, "sealed": 0},
    ]
    assert snapshot["payload_refusals"] == [
        {"route": "chat.test/", "cause": "expired", "count": 2},
        {"route": "-", "cause": "session-request-invalid", "count": 1},
    ]
