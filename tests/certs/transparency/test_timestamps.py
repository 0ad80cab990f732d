"""Timestamps of logs: signed by whom they say, and enough for browsers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.transparency.log_list import LogList, parse_log_list
from certs.transparency.timestamps import timestamp_faults, timestamps
from tests.certs.authority import DAY, NOW
from tests.transparency_logs import SigningLog, log_list, logged

A = SigningLog("a", "A")
A2 = SigningLog("a2", "A", kind="rsa-2048")
B = SigningLog("b", "B")
GONE = SigningLog("gone", "C", "retired", NOW - 5 * DAY)
GONE2 = SigningLog("gone2", "D", "retired", NOW - 5 * DAY)
CURVE = SigningLog("curve", "E", kind="ecdsa-p384")
KNOWN = parse_log_list(log_list(A, A2, B, GONE, GONE2, CURVE))


def faults(chain: list[x509.Certificate], known: LogList = KNOWN, now: datetime = NOW) -> list[str]:
    found = timestamps(chain, known, now)
    return [one.fault for one in found if one.fault is not None] + list(timestamp_faults(chain[0], found))


@pytest.mark.parametrize("logs", [(A, B), (A2, B), (A, A2, B), (A, CURVE)])
def test_signatures_of_the_logs_of_two_operators_are_enough(logs: tuple[SigningLog, ...]) -> None:
    chain = logged(logs)
    assert [(one.log, one.operator, one.at) for one in timestamps(chain, KNOWN, NOW)] == [
        (log.name, log.operator, NOW - DAY) for log in logs
    ]
    assert faults(chain) == []


@pytest.mark.parametrize(
    ("logs", "settings", "fault"),
    [
        ((), {}, "timestamps of 0 logs count, and browsers want 2"),
        ((A,), {}, "timestamps of 1 logs count, and browsers want 2"),
        ((A, A2), {}, "all timestamps that count are of one operator (A), and browsers want two"),
        ((A, B), {"days": 181}, "timestamps of 2 logs count, and browsers want 3"),
        ((GONE, A), {}, "timestamps of 1 logs count, and browsers want 2"),
        ((GONE, GONE2), {"begins": NOW - 20 * DAY}, "all logs of its timestamps are retired"),
    ],
)
def test_what_browsers_would_refuse(logs: tuple[SigningLog, ...], settings: dict[str, Any], fault: str) -> None:
    assert faults(logged(logs, **settings)) == [fault]


def test_what_a_log_signed_before_it_retired_counts() -> None:
    assert faults(logged((GONE, A), begins=NOW - 20 * DAY)) == []


def test_a_timestamp_proves_nothing_for_another_certificate_or_issuer_or_log() -> None:
    chain, other = logged((A, B)), logged((A, B))
    for wrong in ([chain[0], other[1]], [other[0], chain[1]]):
        assert faults(wrong)[:2] == ["its signature is not that of the log"] * 2
    swapped = dict(KNOWN.logs)
    ids = {log.name: one for one, log in KNOWN.logs.items()}
    swapped[ids["a"]], swapped[ids["b"]] = KNOWN.logs[ids["b"]], KNOWN.logs[ids["a"]]
    assert len(faults(chain, LogList(NOW, swapped))) == 3
    assert faults(chain, LogList(NOW, {}))[0] == "it is of a log that is not in the list"


def test_one_of_the_future_and_a_chain_without_its_issuer() -> None:
    chain = logged({A: NOW + DAY, B: NOW})
    assert faults(chain) == ["it is of the future", "timestamps of 1 logs count, and browsers want 2"]
    assert faults(chain, now=NOW + DAY) == []
    assert faults(chain[:1], now=NOW + DAY)[0] == "the issuer is not in the chain, whose key it covers"


def test_logs_of_one_name_are_two() -> None:
    named = SigningLog("a", "C")
    chain = logged((A, named))
    assert faults(chain, parse_log_list(log_list(A, named))) == []


def test_a_log_counts_for_its_operator_of_the_time() -> None:
    moved = SigningLog("moved", "A", former=(("B", NOW),))
    known = parse_log_list(log_list(A, moved))
    assert faults(logged((A, moved)), known) == []
    assert faults(logged((A, moved), begins=NOW), known) == [
        "all timestamps that count are of one operator (A), and browsers want two"
    ]


def test_a_time_after_the_year_9999_is_damaged() -> None:
    leaf, issuer = logged((A, B))
    at = ((NOW - DAY - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)).to_bytes(8, "big")
    damaged = leaf.public_bytes(Encoding.DER).replace(at, (1 << 55).to_bytes(8, "big"))
    chain = [x509.load_der_x509_certificate(damaged), issuer]
    assert faults(chain)[:2] == ["its time is damaged"] * 2
    assert faults(chain, LogList(NOW, {}))[0] == "it is of a log that is not in the list"


def test_a_key_that_no_log_may_have_signs_nothing() -> None:
    chain = logged((A, B))
    (log_id,) = (one for one, log in KNOWN.logs.items() if log.name == "a")
    for key in (b"rubbish", SigningLog("x", "X", kind="ed25519").public):
        log = KNOWN.logs[log_id]
        known = LogList(NOW, {log_id: type(log)(log.name, log.operator, key, log.state, log.since)})
        assert faults(chain, known)[0] == "its signature is not that of the log"
