"""Which streams are open, and what is remembered of others."""

from dataclasses import replace

from proxy.http2.streams.states import DONE, END, OPEN
from proxy.http2.streams.stream import SessionStream
from proxy.http2.streams.stream_table import StreamTable
from tests.fakes_http import LIMITS


def table(streams: int = 3, *, is_server: bool = True) -> StreamTable:
    return StreamTable(replace(LIMITS.http2, streams=streams), is_server=is_server)


def opened(streams: StreamTable, number: int) -> SessionStream:
    streams.see(number)
    return streams.take_up(number, OPEN)


def test_a_stream_counts_until_it_is_closed_and_without_work() -> None:
    streams = table()
    first, second = opened(streams, 1), opened(streams, 3)
    assert not streams.is_full
    opened(streams, 5)
    assert streams.is_full
    streams.cut(first)  # its work goes on
    assert (streams.open, streams.is_full) == (3, True)
    streams.work_ended(first)
    streams.work_ended(first)
    assert (streams.open, streams.is_full) == (2, False)
    assert second.on(END) == DONE  # its answer was given, so its work has ended
    streams.work_ended(second)
    assert streams.open == 2
    streams.cut(second)
    assert streams.open == 1
    assert list(streams.streams) == [5]


def test_a_client_works_for_no_stream_that_was_cut() -> None:
    streams = table(is_server=False)
    streams.cut(opened(streams, 1))
    assert (streams.open, streams.streams) == (0, {})


def test_new_streams_have_the_windows_of_both_sides() -> None:
    streams = table()
    streams.peer_window = 7
    stream = opened(streams, 1)
    assert (stream.send_window, stream.receive_window) == (7, LIMITS.http2.stream_window_bytes)


def test_identifiers_above_the_last_and_even_ones_are_idle() -> None:
    streams = table()
    streams.see(5)
    assert [streams.is_idle(number) for number in (1, 2, 4, 5, 6, 7)] == [False, True, True, False, True, True]


def test_identifiers_that_were_passed_over_are_known() -> None:
    streams = table()
    for number in (1, 3, 9, 11, 15):
        streams.see(number)
    assert [number for number in range(1, 17, 2) if streams.was_left_out(number)] == [5, 7, 13]


def test_few_gaps_are_kept() -> None:
    streams = table()
    for number in range(1, 2_000, 4):
        streams.see(number)
    assert streams.was_left_out(3)
    assert not streams.was_left_out(1_999 - 4)


def test_streams_that_we_reset_are_remembered_with_their_windows() -> None:
    streams = table()
    streams.remember(1, 100)
    assert [streams.late_window(1), streams.late_window(3)] == [100, -1]
    streams.use_late_window(1, 40, ends=False)
    assert streams.late_window(1) == 40
    streams.use_late_window(1, 40, ends=True)
    streams.use_late_window(1, 40, ends=True)
    assert streams.late_window(1) == -1


def test_the_oldest_of_many_resets_is_forgotten() -> None:
    streams = table()
    for number in range(1, 1_027, 2):  # 513
        streams.remember(number, 10)
    assert [streams.late_window(number) for number in (1, 3, 1_025)] == [-1, 10, 10]


def test_a_priority_may_come_before_its_stream() -> None:
    streams = table()
    streams.keep_priority(3, (1, True))
    first, second = opened(streams, 1), opened(streams, 3)
    assert (first.urgency, first.is_incremental, first.is_prioritized_by_frame) == (3, False, False)
    assert (second.urgency, second.is_incremental, second.is_prioritized_by_frame) == (1, True, True)


def test_early_priorities_are_bounded_and_those_of_old_streams_give_way() -> None:
    streams = table(streams=2)
    for number in (3, 5, 7):
        streams.keep_priority(number, (0, False))
    assert opened(streams, 7).urgency == 3
    streams.keep_priority(5, (0, False))  # for a closed stream
    streams.keep_priority(9, (1, False))
    streams.keep_priority(11, (2, False))
    assert [opened(streams, 9).urgency, opened(streams, 11).urgency] == [1, 2]
