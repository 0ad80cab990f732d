"""When the signatures of handshakes are bad enough to open the breaker."""

from proxy.signing.track_record import TrackRecord


def test_three_failures_in_a_row_are_too_many_and_a_success_between_them_counts() -> None:
    record = TrackRecord()
    assert [record.failed(), record.failed()] == [False, False]
    record.succeeded()
    assert [record.failed(), record.failed(), record.failed()] == [False, False, True]


def test_ten_failures_of_the_last_twenty_are_too_many() -> None:
    record = TrackRecord()
    found = []
    for _ in range(10):
        found.append(record.failed())
        record.succeeded()
    assert found == [False] * 9 + [True]


def test_failures_before_the_last_twenty_do_not_count() -> None:
    record = TrackRecord()
    for _ in range(9):
        record.failed()
        record.succeeded()
    for _ in range(20):
        record.succeeded()
    assert not record.failed()
    assert record.good == 29


def test_five_races_lost_in_a_row_are_too_many() -> None:
    record = TrackRecord()
    assert [record.outrun() for _ in range(4)] == [False] * 4
    record.succeeded()
    assert [record.outrun() for _ in range(5)] == [False] * 4 + [True]
