"""The `priority` field, and whose turn it is."""

import pytest

from proxy.http2.streams.priorities import Schedule, parsed_priority, turn_bytes
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.frames import BODY_BYTES

MEGABYTE = 1_048_576


@pytest.mark.parametrize(
    ("field", "priority"),
    [
        (b"", (3, False)),
        (b"u=0", (0, False)),
        (b"u=7, i", (7, True)),
        (b"i", (3, True)),
        (b"i=?1,u=1", (1, True)),
        (b"i=?0", (3, False)),
        (b"u=5;a=1\t, i;b", (5, True)),
        (b"u=1, u=2", (2, False)),  # RFC 8941 3.2: the last one counts
        (b"u=8", (3, False)),
        (b"u=-1, i=1", (3, False)),
        (b"x=u=1, U=1", (3, False)),
        (b'x="\xff\0"', (3, False)),
        (b"u=2," + b" " * 252, (2, False)),
    ],
)
def test_urgency_and_incremental_are_read(field: bytes, priority: tuple[int, bool]) -> None:
    assert parsed_priority(field) == priority


def test_a_long_field_is_ignored() -> None:
    assert parsed_priority(b"u=2," + b" " * 253) is None


def stream(number: int, queued: int, urgency: int = 3, sent: int = 0) -> SessionStream:
    """A stream with something to send."""
    made = SessionStream(number, 65_535, 65_535)
    made.queued, made.urgency, made.sent_bytes = queued, urgency, sent
    return made


def order(schedule: Schedule, turns: int) -> list[int]:
    """Who sends, if all continue for ever."""
    found = []
    for _ in range(turns):
        taken = schedule.take()
        assert taken is not None
        found.append(taken.id)
        schedule.add(taken)
    return found


def test_an_empty_schedule_has_no_turn() -> None:
    schedule = Schedule()
    assert (schedule.is_empty, schedule.take()) == (True, None)


def test_urgent_streams_send_first() -> None:
    schedule = Schedule()
    for one in (stream(1, 10, 7), stream(3, 10, 3), stream(5, 10, 0), stream(7, 10, 3)):
        schedule.add(one)
    found = []
    while (taken := schedule.take()) is not None:
        found.append(taken.id)
    assert found == [5, 3, 7, 1]
    assert schedule.is_empty


def test_a_long_answer_lets_short_ones_pass_and_does_not_starve() -> None:
    schedule = Schedule()
    schedule.add(stream(1, MEGABYTE, sent=MEGABYTE))
    schedule.add(stream(3, 100, sent=MEGABYTE))  # long already, but little waits: a chat
    schedule.add(stream(5, MEGABYTE))
    assert order(schedule, 10) == [3, 5, 3, 5, 1, 3, 5, 3, 5, 1]


def test_long_answers_take_turns() -> None:
    schedule = Schedule()
    schedule.add(stream(1, MEGABYTE, sent=MEGABYTE))
    schedule.add(stream(3, MEGABYTE, sent=MEGABYTE))
    assert order(schedule, 4) == [1, 3, 1, 3]


def test_a_stream_that_is_removed_has_no_turn() -> None:
    schedule = Schedule()
    gone, left = stream(1, 10), stream(3, 10)
    schedule.add(gone)
    schedule.add(left)
    schedule.remove(gone)
    schedule.remove(gone)
    assert order(schedule, 2) == [3, 3]
    assert gone.lane == -1


def test_an_incremental_stream_has_shorter_turns() -> None:
    one = stream(1, MEGABYTE)
    assert turn_bytes(one) == 4 * BODY_BYTES
    one.is_incremental = True
    assert turn_bytes(one) == BODY_BYTES
