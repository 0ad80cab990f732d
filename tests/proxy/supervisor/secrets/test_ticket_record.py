"""The secret of session tickets on disk, and how long it lives on."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from proxy.supervisor.secrets.ticket_record import NoTicketRecord, TicketRecord, resumed
from proxy.tls.openssl.tickets import TicketSecrets

NOW = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AGE = 12 * HOUR
OLD, CURRENT, NEW = (bytes([number]) * 32 for number in range(3))
KEPT = TicketRecord(TicketSecrets(CURRENT, OLD), NOW)


@pytest.mark.parametrize("previous", [None, OLD])
def test_it_comes_back_and_shows_itself_to_nobody(previous: bytes | None) -> None:
    record = TicketRecord(TicketSecrets(CURRENT, previous), NOW)
    assert TicketRecord.parse(record.encode()) == record
    assert CURRENT.hex() not in repr(record)


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"current": "00"}, {"current": "x"}, {"previous": "00"}, {"since": "now"}, {"since": 7},
     {"since": "2026-05-04T03:02:01"}],
)  # fmt: skip
def test_what_is_none_is_refused_without_a_secret(change: dict[str, object]) -> None:
    content = json.dumps({**json.loads(KEPT.encode()), **change}).encode()
    for damaged in (content, b"", b"[]", b"{}"):
        with pytest.raises(NoTicketRecord) as caught:
            TicketRecord.parse(damaged)
        assert CURRENT.hex() not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (0 * HOUR, KEPT),
        (11 * HOUR, KEPT),
        (12 * HOUR, TicketRecord(TicketSecrets(NEW, CURRENT), NOW + 12 * HOUR)),
        (23 * HOUR, TicketRecord(TicketSecrets(NEW, CURRENT), NOW + 23 * HOUR)),
        (24 * HOUR, TicketRecord(TicketSecrets(NEW), NOW + 24 * HOUR)),
        (-5 * HOUR, TicketRecord(KEPT.secrets, NOW - 5 * HOUR)),
    ],
)
def test_a_secret_lives_as_long_as_in_a_process_that_ran_on(later: timedelta, expected: TicketRecord) -> None:
    assert resumed(KEPT, NEW, NOW + later, AGE) == expected


def test_without_one_a_new_one_begins() -> None:
    assert resumed(None, NEW, NOW, AGE) == TicketRecord(TicketSecrets(NEW), NOW)
