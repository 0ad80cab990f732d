"""How far behind a client may fall, in both directions."""

from dataclasses import dataclass

import pytest

from proxy.limits.pace import BodyPace, ReaderPace


class TestBody:
    def test_each_piece_buys_the_time_that_it_takes_at_the_rate(self) -> None:
        pace = BodyPace(100, 30.0)
        assert pace.begin(1_000.0) == 1_030.0
        assert pace.proceed(1_030.0, 500, 1_020.0) == 1_035.0
        assert pace.reason == "body_too_slow"

    def test_what_was_saved_up_is_forgotten(self) -> None:
        pace = BodyPace(100, 30.0)
        pace.begin(1_000.0)
        assert pace.proceed(1_030.0, 1_000_000, 1_001.0) == 1_031.0
        assert pace.reason == "body_timeout"

    def test_to_begin_anew_is_not_slow(self) -> None:
        pace = BodyPace(100, 30.0)
        pace.begin(1_000.0)
        pace.proceed(1_030.0, 1, 1_020.0)
        assert pace.begin(1_025.0) == 1_055.0
        assert pace.reason == "body_timeout"

    @pytest.mark.parametrize(("per_second", "is_in_time"), [(99, False), (101, True)])
    def test_the_rate_is_the_border(self, per_second: int, is_in_time: bool) -> None:  # noqa: FBT001 - a parameter
        pace = BodyPace(100, 30.0)
        now = 1_000.0
        deadline = pace.begin(now)
        for _ in range(10_000):
            now += 1
            if deadline <= now:
                break
            deadline = pace.proceed(deadline, per_second, now)
        assert (deadline > now) is is_in_time


@dataclass
class Backlog:
    """What a client has to take."""

    waiting_bytes: int = 0
    written_bytes: int = 0


class TestReader:
    def test_one_that_takes_nothing_has_its_time(self) -> None:
        pace = ReaderPace(Backlog(10_000), 100, 60.0)
        assert pace.look(1_000.0) == 1_060.0
        assert pace.look(1_060.0) == 1_060.0
        assert pace.reason == "reader_timeout: the client takes no more of the response"

    def test_what_it_takes_buys_time(self) -> None:
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes -= 3_000
        assert pace.look(1_060.0) == 1_090.0
        assert pace.look(1_090.0) == 1_090.0
        assert pace.reason.startswith("reader_timeout")

    def test_what_is_written_meanwhile_is_not_what_it_took(self) -> None:
        """An answer continues in the buffer while its client is blocked."""
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes += 5_000 - 3_000
        backlog.written_bytes += 5_000
        assert pace.look(1_060.0) == 1_090.0, "it took 3,000"
        backlog.waiting_bytes += 5_000
        backlog.written_bytes += 5_000
        assert pace.look(1_090.0) == 1_090.0, "and nothing since then"
        assert pace.reason.startswith("reader_timeout")

    def test_what_was_written_before_it_blocked_is_nothing_that_it_took(self) -> None:
        backlog = Backlog(10_000, 70_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        assert pace.look(1_060.0) == 1_060.0

    def test_one_that_takes_too_little_is_called_slow(self) -> None:
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes -= 20
        assert pace.look(1_060.0) == 1_060.0
        assert pace.reason == "reader_too_slow: the client reads the response too slowly"

    def test_what_was_saved_up_is_forgotten(self) -> None:
        backlog = Backlog(1_000_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes = 10
        assert pace.look(1_060.0) == 1_120.0

    def test_time_in_which_it_waited_for_us_does_not_count_but_what_it_took_does(self) -> None:
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        assert pace.excuse(1_000.0) == 1_060.0
        assert pace.look(1_030.0) == 1_060.0
        assert pace.excuse(1_050.0) == 1_080.0
        backlog.waiting_bytes -= 1_000
        assert pace.excuse(1_070.0) == 1_110.0
        assert pace.look(1_110.0) == 1_110.0

    def test_time_between_two_stalls_is_not_counted_and_what_it_was_behind_is_remembered(self) -> None:
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes = 9_000
        pace.end(1_040.0)
        pace.end(1_050.0)
        backlog.waiting_bytes = 12_000
        assert pace.look(2_000.0) == 2_030.0

    def test_a_backlog_that_grows_is_not_held_against_it(self) -> None:
        backlog = Backlog(10_000)
        pace = ReaderPace(backlog, 100, 60.0)
        pace.look(1_000.0)
        backlog.waiting_bytes = 50_000
        assert pace.look(1_010.0) == 1_060.0

    def test_a_block_that_nobody_looked_at_is_none(self) -> None:
        pace = ReaderPace(Backlog(10_000), 100, 60.0)
        pace.end(1_000.0)
        assert pace.look(1_010.0) == 1_070.0
