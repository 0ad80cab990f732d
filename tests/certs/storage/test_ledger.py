"""What is decided about versions."""

import json
from datetime import timedelta

import pytest

from certs.storage.ledger import Ledger, LedgerDamaged, Retirement
from tests.certs.authority import DAY, NOW

RETIREMENT = Retirement(NOW, NOW + DAY, "renewed")


def test_the_first_version_replaces_nothing() -> None:
    ledger = Ledger().serving(1, RETIREMENT)
    assert (ledger.current, ledger.decided, dict(ledger.retired)) == (1, 1, {})
    assert ledger.served_since == {1: NOW}


def test_a_version_retires_the_one_before() -> None:
    ledger = Ledger().serving(1, RETIREMENT).serving(2, RETIREMENT)
    assert (ledger.current, ledger.decided, dict(ledger.retired)) == (2, 2, {1: RETIREMENT})


def test_going_back_takes_a_version_out_of_retirement() -> None:
    ledger = Ledger().serving(1, RETIREMENT).serving(2, RETIREMENT).serving(1, RETIREMENT)
    assert (ledger.current, ledger.decided, list(ledger.retired)) == (1, 2, [2])


def test_serving_again_retires_nothing() -> None:
    ledger = Ledger().serving(1, RETIREMENT).serving(1, RETIREMENT)
    assert (ledger.current, dict(ledger.retired)) == (1, {})


def test_a_refused_version_is_decided_about() -> None:
    assert Ledger().serving(1, RETIREMENT).refused(2).decided == 2
    assert Ledger(decided=3).refused(2).decided == 3


def test_what_is_forgotten_leaves_nothing() -> None:
    ledger = Ledger().serving(1, RETIREMENT).serving(2, RETIREMENT).without(1)
    assert (dict(ledger.retired), list(ledger.served_since)) == ({}, [2])


def test_it_reads_what_it_writes() -> None:
    compromised = Retirement(NOW, NOW, "compromised", is_compromised=True)
    ledger = Ledger().serving(1, RETIREMENT).serving(2, compromised)
    assert Ledger.parse(ledger.encode()) == ledger
    assert Ledger.parse(Ledger().encode()) == Ledger()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({**json.loads(Ledger().encode()), "format": 2}).encode(),
        json.dumps({**json.loads(Ledger().encode()), "current": "1"}).encode(),
        json.dumps({**json.loads(Ledger().encode()), "retired": {"1": {}}}).encode(),
        json.dumps({**json.loads(Ledger().encode()), "served_since": {"1": "2026-01-01T00:00:00"}}).encode(),
    ],
)
def test_anything_else_is_damaged(content: bytes) -> None:
    with pytest.raises(LedgerDamaged, match="not a ledger"):
        Ledger.parse(content)


def test_grace_is_between_the_end_of_service_and_the_end_of_the_key() -> None:
    assert RETIREMENT.destroy_at - RETIREMENT.at == timedelta(days=1)


def test_what_nobody_wants_any_more_serves_no_more() -> None:
    assert Ledger().retiring(RETIREMENT) == Ledger()
    gone = Ledger(current=2, decided=2).retiring(RETIREMENT)
    assert (gone.current, gone.retired) == (None, {2: RETIREMENT})


def test_a_revocation_is_remembered() -> None:
    ledger = Ledger(current=2, decided=2, retired={1: RETIREMENT}).revoked(1)
    assert ledger.retired[1].is_revoked
    assert Ledger.parse(ledger.encode()) == ledger
