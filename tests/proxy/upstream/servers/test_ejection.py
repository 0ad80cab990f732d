"""When a server is left out, for how long, and when nobody is."""

import pytest

from proxy.upstream.servers.ejection import EjectionPolicy, EjectionRecord, may_leave_out

POLICY = EjectionPolicy(connect_failures=3, errors=4, errors_seconds=10.0, base_seconds=5.0, max_seconds=60.0)


def ejected(record: EjectionRecord, now: float) -> float:
    """Have it fail until it is ejected, and answer for how long."""
    for _ in range(POLICY.connect_failures):
        seconds = record.connect_failed(now)
        if seconds:
            return seconds
    raise AssertionError("it is not ejected")


class TestCauses:
    """Connect failures in a row, errors within a time."""

    def test_connect_failures_in_a_row(self) -> None:
        record = EjectionRecord(POLICY)
        assert [record.connect_failed(0.0), record.connect_failed(50.0)] == [0.0, 0.0]
        assert not record.is_ejected
        assert record.connect_failed(100.0) == 5.0
        assert record.is_ejected
        assert record.count == 1

    def test_connection_that_is_made_breaks_the_row(self) -> None:
        record = EjectionRecord(POLICY)
        for _ in range(5):
            assert [record.connect_failed(0.0), record.connect_failed(0.0)] == [0.0, 0.0]
            record.connected()
        assert not record.is_ejected

    def test_it_is_unreachable_while_connections_fail_and_not_because_of_errors(self) -> None:
        record = EjectionRecord(POLICY)
        for now in (0.0, 1.0, 2.0, 3.0):
            record.answered_badly(now)
        assert record.is_ejected
        assert not record.is_unreachable
        record.end()
        ejected(record, 10.0)
        assert record.is_unreachable
        record.end()
        assert not record.is_unreachable, "it may be tried"

    def test_errors_within_their_time(self) -> None:
        record = EjectionRecord(POLICY)
        assert [record.answered_badly(now) for now in (0.0, 1.0, 9.0, 10.0)] == [0.0, 0.0, 0.0, 5.0]

    def test_errors_that_are_rare_enough_do_not_matter(self) -> None:
        record = EjectionRecord(POLICY)
        assert not any(record.answered_badly(number * 3.4) for number in range(100))


class TestDuration:
    """It doubles, up to a bound, and is forgotten after a good while."""

    def test_each_is_twice_as_long_up_to_the_longest(self) -> None:
        record, now, seen = EjectionRecord(POLICY), 0.0, []
        for _ in range(40):
            seconds = ejected(record, now)
            seen.append(seconds)
            now += seconds
            record.end()
        assert seen == [5.0, 10.0, 20.0, 40.0, *[60.0] * 36]

    def test_one_connect_failure_is_enough_after_it_and_a_connection_clears_that(self) -> None:
        record = EjectionRecord(POLICY)
        ejected(record, 0.0)
        record.end()
        assert record.connect_failed(5.0) == 10.0
        record.end()
        record.connected()
        assert record.connect_failed(20.0) == 0.0

    @pytest.mark.parametrize(("good_for", "seconds"), [(60.0, 10.0), (60.1, 5.0)])
    def test_good_time_makes_it_begin_anew(self, good_for: float, seconds: float) -> None:
        record = EjectionRecord(POLICY)
        record.end()
        ejected(record, 0.0)
        record.end()
        assert ejected(record, 5.0 + good_for) == seconds

    def test_faults_of_an_ejected_server_do_not_prolong_it(self) -> None:
        record = EjectionRecord(POLICY)
        ejected(record, 0.0)
        assert not any(record.connect_failed(1.0) or record.answered_badly(1.0) for _ in range(20))
        assert record.count == 1
        record.end()
        assert record.answered_badly(6.0) == 0.0


@pytest.mark.parametrize(
    ("number", "of", "percent", "may"),
    [
        (0, 1, 50, True),
        (1, 1, 99, False),
        (1, 2, 50, True),
        (2, 2, 99, False),
        (1, 3, 50, True),
        (2, 3, 50, False),
        (2, 3, 70, True),
        (1, 10, 0, False),
        (0, 0, 50, False),
    ],
)
def test_panic_rule(number: int, of: int, percent: int, *, may: bool) -> None:
    assert may_leave_out(number, of, percent) is may
