"""Records on the wire, counted however they are cut, and those without data held against their sender for a while."""

import pytest

from proxy.tls.wire.record_flood import (
    DATA_BYTES_PER_RECORD,
    FORGIVEN_PER_SECOND,
    RECORDS_WITHOUT_DATA,
    KeyUpdateTally,
    RecordFlood,
    RecordTally,
)


def record(length: int) -> bytes:
    return b"\x17\x03\x03" + length.to_bytes(2) + bytes(length)


WIRE = b"".join(map(record, (17, 300, 0, 16_640, 1, 1, 255, 256)))
COUNT = 8


def test_each_record_is_counted_once_wherever_the_bytes_are_cut() -> None:
    for cut in (*range(30), *range(315, 345), *range(len(WIRE) - 540, len(WIRE) + 1)):
        tally = RecordTally()
        assert tally.receive_data(WIRE[:cut]) + tally.receive_data(memoryview(WIRE)[cut:]) == COUNT


@pytest.mark.parametrize("size", [1, 2, 4, 5, 6, 7, 300, 16_384, 100_000])
def test_pieces_of_any_size_give_the_same_count(size: int) -> None:
    tally = RecordTally()
    assert sum(tally.receive_data(WIRE[at : at + size]) for at in range(0, len(WIRE), size)) == COUNT
    assert tally.receive_data(record(20)) == 1


def test_a_record_that_is_not_complete_does_not_count() -> None:
    tally = RecordTally()
    assert tally.receive_data(record(40)[:-1]) == 0
    assert tally.receive_data(b"") == 0
    assert tally.receive_data(b"\0") == 1


def test_rest_of_a_record_is_known_once_its_header_is_there() -> None:
    tally = RecordTally()
    rests = []
    for piece in (record(40)[:4], record(40)[4:15], bytes(29), bytes(1)):
        tally.receive_data(piece)
        rests.append(tally.rest)
    assert rests == [0, 30, 1, 0]


def test_what_is_missing_is_never_more_than_the_record_or_its_header() -> None:
    tally = RecordTally()
    missing = []
    for part in (b"\x17\x03", b"\x03\0\2", b"a", b"b", b"\x17\x03\x03\0\0"):
        missing.append(tally.missing)
        tally.receive_data(part)
    assert [*missing, tally.missing] == [5, 3, 2, 1, 5, 5]


def test_what_came_of_a_record_that_has_begun_is_known() -> None:
    tally = RecordTally()
    begun = []
    for piece in (record(7) + record(40)[:15], bytes(29), bytes(1) + record(40)[:4], record(40)[4:5], record(40)[5:]):
        tally.receive_data(piece)
        begun.append(tally.begun)
    assert begun == [15, 29, 0, 5, 0]


def test_so_many_at_once_are_taken_and_no_more() -> None:
    tally = RecordTally()
    assert not tally.is_flood(RECORDS_WITHOUT_DATA, 0, now=1_000.0)
    assert tally.is_flood(1, 0, now=1_000.0)


def test_time_forgives() -> None:
    tally = RecordTally()
    now = 5.0
    for _ in range(100):
        assert not tally.is_flood(RECORDS_WITHOUT_DATA, 0, now)
        now += RECORDS_WITHOUT_DATA / FORGIVEN_PER_SECOND
    assert tally.is_flood(RECORDS_WITHOUT_DATA + 1, 0, now)


def test_a_quiet_time_is_not_saved_up() -> None:
    tally = RecordTally()
    assert not tally.is_flood(1, 0, now=0.0)
    assert tally.is_flood(RECORDS_WITHOUT_DATA + 1, 0, now=86_400.0)


def test_data_that_comes_along_forgives() -> None:
    tally = RecordTally()
    for _ in range(10_000):
        assert not tally.is_flood(1, DATA_BYTES_PER_RECORD, now=0.0)
    assert any(tally.is_flood(2, DATA_BYTES_PER_RECORD, now=0.0) for _ in range(10_000))


def test_a_flood_is_told_in_a_sentence() -> None:
    assert str(RecordFlood("TLS key updates")) == "too many TLS key updates"


def test_new_keys_are_counted_by_their_answers_for_a_minute() -> None:
    tally = KeyUpdateTally()
    tally.answered(27, 100.0)
    tally.answered(1, 130.0)
    tally.answered(3 * 27, 159.9)
    assert tally.count == 5
    tally.answered(27, 160.0)
    assert tally.count == 1
