"""Counters: what is counted, and under what."""

import json
from dataclasses import replace

import pytest

from config.schema import HttpProtocol
from proxy.limits.reasons import CLOSED, RequestReason
from proxy.observe.counts.counters import Counters
from tests.proxy.observe.counts.counting import CLASSICAL, CLIENT, HANDSHAKE, REQUEST, counters_of


def counted() -> Counters:
    """Count a little of everything."""
    return counters_of((HANDSHAKE, HANDSHAKE, CLASSICAL))


def test_handshakes_are_counted_under_everything_that_was_settled() -> None:
    counters = counted()
    counters.established("public", replace(HANDSHAKE, is_resumed=True), 0.5)
    common = {"listener": "public", "identity": "chat", "version": "TLSv1.3"}
    hybrid = {"outcome": "hybrid", "group": "X25519MLKEM768"}
    assert counters.snapshot()["handshakes"] == [
        {
            "listener": "admin",
            "identity": "-",
            "outcome": "refused",
            "group": "-",
            "version": "TLSv1.3",
            "resumed": "false",
            "count": 1,
        },
        {**common, "outcome": "client_cannot", "group": "X25519", "resumed": "false", "count": 1},
        {**common, **hybrid, "resumed": "false", "count": 2},
        {**common, **hybrid, "resumed": "true", "count": 1},
    ]
    (seconds,) = counters.snapshot()["handshake_seconds"]
    assert seconds["listener"] == "public"
    assert (seconds["counts"][1], sum(seconds["counts"])) == (3, 4)


def test_unknown_groups_share_one_label() -> None:
    counters = Counters()
    counters.established("public", replace(HANDSHAKE, group=None), 0.001)
    assert [row["group"] for row in counters.snapshot()["handshakes"]] == ["unknown"]


def test_signing_is_timed_where_something_was_signed() -> None:
    counters = Counters()
    counters.established("public", HANDSHAKE, 0.001)
    assert counters.snapshot()["signing_seconds"] == []
    for seconds in (0.00009, 0.0002):
        counters.established("public", replace(HANDSHAKE, signing_seconds=seconds), 0.001)
    (row,) = counters.snapshot()["signing_seconds"]
    assert (row["identity"], row["counts"][:3]) == ("chat", [1, 1, 0])
    assert row["sum"] == pytest.approx(0.00029)


def test_failures_are_counted_by_listener_and_reason() -> None:
    assert counted().snapshot()["failures"] == [
        {"listener": "public", "reason": "policy", "count": 2},
        {"listener": "public", "reason": "timeout", "count": 1},
    ]


def test_a_request_that_came_to_nothing_is_a_failure_by_its_reason_too() -> None:
    counters = Counters()
    counters.request(replace(REQUEST, status=429, error=RequestReason.RATE))
    counters.request(replace(REQUEST, status=502, error="whatever an upstream says"))
    counters.request(replace(REQUEST, status=101, error=f"{CLOSED}: the server asked for it"))
    counters.request(REQUEST)
    assert counters.snapshot()["failures"] == [
        {"listener": "public", "reason": "request_rate", "count": 1},
        {"listener": "public", "reason": "upstream", "count": 1},
    ]


@pytest.mark.parametrize("status", [501, 505])
def test_what_a_client_made_up_is_no_fault_of_a_server(status: int) -> None:
    counters = Counters()
    counters.request(replace(REQUEST, status=status, route=None, error="malformed_request: method not supported"))
    counters.request(replace(REQUEST, status=status))
    assert counters.snapshot()["listener_requests"] == [
        {"listener": "public", "status": "malformed", "count": 1},
        {"listener": "public", "status": "5xx", "count": 1},
    ]


def test_requests_are_counted_by_route_and_by_listener() -> None:
    counters = counted()
    counters.request(replace(REQUEST, route=None, status=421, connection=replace(CLIENT, listener="inner")))
    classes = {"1xx": 1, "2xx": 2, "4xx": 2, "5xx": 1}
    snapshot = counters.snapshot()
    assert snapshot["requests"] == [
        *({"route": "chat.test/", "status": status, "count": count} for status, count in classes.items()),
        {"route": "-", "status": "4xx", "count": 1},
    ]
    assert snapshot["listener_requests"] == [
        {"listener": "inner", "status": "4xx", "count": 1},
        *({"listener": "public", "status": status, "count": count} for status, count in classes.items()),
    ]


def test_requests_are_counted_by_version_of_http() -> None:
    counters = counted()
    http_2 = replace(CLIENT, protocol=HttpProtocol.HTTP_2)
    counters.request(replace(REQUEST, connection=http_2))
    counters.request(replace(REQUEST, connection=http_2, status=101, messages=(1, 2)))
    counters.request(replace(REQUEST, connection=replace(http_2, listener="inner"), status=400, error="gone"))
    snapshot = counters.snapshot()
    assert snapshot["protocol_requests"] == [
        {"listener": "inner", "protocol": "http/1.1", "count": 0},
        {"listener": "inner", "protocol": "h2", "count": 1},
        {"listener": "public", "protocol": "http/1.1", "count": 6},
        {"listener": "public", "protocol": "h2", "count": 2},
    ]
    assert sum(row["count"] for row in snapshot["listener_requests"]) == 9


def test_requests_of_http_3_are_counted_and_timed_apart() -> None:
    counters = Counters()
    counters.request(REQUEST)
    counters.request(replace(REQUEST, connection=replace(CLIENT, protocol="h3")))
    snapshot = counters.snapshot()
    assert snapshot["protocol_requests"] == [
        {"listener": "public", "protocol": "http/1.1", "count": 1},
        {"listener": "public", "protocol": "h2", "count": 0},
        {"listener": "public", "protocol": "h3", "count": 1},
    ]
    rows = snapshot["protocol_seconds"]
    assert [(row["protocol"], sum(row["counts"])) for row in rows] == [("http/1.1", 1), ("h3", 1)]


def test_requests_are_timed_and_their_bytes_added() -> None:
    counters = Counters()
    counters.request(REQUEST)
    counters.request(replace(REQUEST, first_byte=31.0, duration=31.0))
    snapshot = counters.snapshot()
    (first_byte,), (seconds,) = snapshot["first_byte_seconds"], snapshot["request_seconds"]
    assert (first_byte["route"], first_byte["counts"][2], first_byte["counts"][-1]) == ("chat.test/", 1, 1)
    assert (seconds["route"], seconds["counts"][7], seconds["counts"][-1]) == ("chat.test/", 1, 1)
    assert [first_byte["sum"], seconds["sum"]] == pytest.approx([31.004, 31.2])
    assert snapshot["bytes"] == [{"route": "chat.test/", "request": 20, "response": 4_000}]


def test_requests_are_timed_by_version_of_http() -> None:
    counters = Counters()
    counters.request(REQUEST)
    counters.request(replace(REQUEST, connection=replace(CLIENT, protocol=HttpProtocol.HTTP_2)))
    counters.request(replace(REQUEST, status=101, messages=(1, 2)))
    rows = counters.snapshot()["protocol_seconds"]
    assert [(row["protocol"], sum(row["counts"])) for row in rows] == [("http/1.1", 1), ("h2", 1)]


def test_the_same_listener_and_route_are_one_object() -> None:
    counters = Counters()
    assert counters.listener("public") is counters.listener("public") is not counters.listener("inner")
    assert counters.route("a/") is counters.route("a/") is not counters.route(None)
    counters.listener("public").accepted += 2
    counters.listener("public").open += 1
    assert counters.snapshot()["connections"][0] == {"listener": "public", "accepted": 2, "open": 1}


def test_what_the_process_itself_knows_is_told() -> None:
    counters = Counters(lambda: (3, 1))
    counters.swaps += 2
    counters.loop_lag.observe(0.2)
    counters.breaking.add("public", None, "192.0.2.1", [(b"User-Agent", b"old")])
    snapshot = counters.snapshot()
    assert snapshot["log"] == [{"dropped": 3, "errors": 1}]
    assert snapshot["swaps"] == [{"count": 2}]
    assert snapshot["loop_lag"][0]["sum"] == 0.2
    assert snapshot["breaking"]["1970-01-01"]["public"]["agents"]["entries"] == [["old", 1, 0]]
    assert snapshot["breaking_connections"] == [{"listener": "public", "count": 1}]
    assert Counters().snapshot()["log"] == [{"dropped": 0, "errors": 0}]


def test_a_snapshot_is_json_and_does_not_change() -> None:
    counters = counted()
    snapshot = counters.snapshot()
    before = json.dumps(snapshot)
    counters.request(REQUEST)
    counters.established("public", HANDSHAKE, 0.1)
    assert json.dumps(snapshot) == before != json.dumps(counters.snapshot())
    assert json.loads(before) == snapshot


def test_one_request_in_sixteen_is_counted_by_its_client_the_first_one_too() -> None:
    counters = Counters()
    for number in range(33):
        counters.request(REQUEST)
        assert counters.snapshot()["busiest"]["total"] == 1 + number // 16


def test_nothing_counted_is_nothing_listed() -> None:
    snapshot = Counters().snapshot()
    assert {family for family, rows in snapshot.items() if rows} == {"busiest", "loop_lag", "log", "swaps"}
    assert snapshot["busiest"]["entries"] == []
