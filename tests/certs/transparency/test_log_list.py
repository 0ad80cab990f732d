"""Lists of logs as browsers have them."""

import json
from hashlib import sha256
from typing import Any

import pytest

from certs.transparency.log_list import LogListDamaged, parse_log_list
from tests.certs.authority import DAY, NOW
from tests.transparency_logs import SigningLog, log_list

FIRST = SigningLog("first", "A")
TILED = SigningLog("tiled", "A", "readonly")
GONE = SigningLog("gone", "B", "retired", NOW)


def test_logs_of_both_kinds_are_known_by_their_keys() -> None:
    found = parse_log_list(log_list(FIRST, TILED, GONE))
    assert found.made_at == NOW - DAY
    first = found.logs[sha256(FIRST.public).digest()]
    assert (first.name, first.operator, first.key) == ("first", "A", FIRST.public)
    assert found.logs[sha256(TILED.public).digest()].name == "tiled"
    assert len(found.logs) == 3


@pytest.mark.parametrize(
    ("state", "before", "after"),
    [
        ("usable", True, True),
        ("qualified", True, True),
        ("readonly", True, True),
        ("retired", True, False),
        ("pending", False, False),
        ("rejected", False, False),
    ],
)
def test_what_counts_of_a_log_in_each_state(state: str, before: bool, after: bool) -> None:  # noqa: FBT001 - parameters
    (log,) = parse_log_list(log_list(SigningLog("a", "A", state, NOW))).logs.values()
    assert (log.counts_at(NOW - DAY), log.counts_at(NOW)) == (before, after)
    assert log.is_admissible is after


def test_one_without_a_state_is_not_accepted_yet() -> None:
    document = json.loads(log_list(FIRST))
    del document["operators"][0]["logs"][0]["state"]
    (log,) = parse_log_list(json.dumps(document).encode()).logs.values()
    assert log.state == "pending"


def test_its_operator_is_the_one_of_the_time() -> None:
    moved = SigningLog("moved", "C", former=(("B", NOW), ("A", NOW - DAY)))
    (log,) = parse_log_list(log_list(moved)).logs.values()
    moments = (NOW - 2 * DAY, NOW - DAY, NOW, NOW + DAY)
    assert [log.operator_at(one) for one in moments] == ["A", "B", "C", "C"]


def test_a_log_is_found_by_the_address_at_which_it_is_read() -> None:
    document = json.loads(log_list(FIRST, TILED))
    (tiled,) = document["operators"][0]["tiled_logs"]
    tiled["submission_url"], tiled["monitoring_url"] = tiled.pop("url"), "https://m.test/2026"
    found = parse_log_list(json.dumps(document).encode())
    assert found.at_address("https://first.test") == found.logs[sha256(FIRST.public).digest()]
    assert found.at_address("https://m.test/2026/") == found.logs[sha256(TILED.public).digest()]
    assert found.at_address("https://tiled.test/") is None


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(log_list(FIRST)), **fields}).encode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "Expecting value"),
        (b"[]", "list indices"),
        (b"[" * 200_000, "maximum recursion depth"),
        (b"{}", "'log_list_timestamp' is missing"),
        (changed(log_list_timestamp="2026-01-01T00:00:00"), "has no time zone"),
        (changed(operators=[{"name": "A", "logs": [{"key": "!"}]}]), "Only base64 data"),
        (changed(operators=[{"name": "A", "logs": [{"key": "", "state": {}}]}]), "not enough values"),
        (changed(operators=[{"name": "A", "logs": [7]}]), "'int' object"),
    ],
)
def test_anything_else_is_damaged(content: bytes, found: str) -> None:
    with pytest.raises(LogListDamaged, match=found) as caught:
        parse_log_list(content)
    assert str(caught.value).startswith("no list of logs in the format of Chrome and Apple, version 3: ")
