"""Credit follows consumption, and windows grow where they delay a client."""

from dataclasses import replace

import pytest

from proxy.http2.streams.flow import ReceiveWindow, StreamWindows
from proxy.http2.streams.stream import SessionStream
from proxy.http2.wire.errors import ConnectionFault, ErrorCode, StreamFault
from tests.fakes_http import LIMITS

FIRST, MOST = 65_536, 200_000


class TestReceiveWindow:
    def test_the_window_may_be_used_up_and_no_more(self) -> None:
        window = ReceiveWindow(100_000, FIRST)
        assert window.first_credit == 100_000 - 65_535
        window.receive(100_000)
        with pytest.raises(ConnectionFault) as caught:
            window.receive(1)
        assert caught.value.code == ErrorCode.FLOW_CONTROL_ERROR

    def test_credit_comes_when_half_was_consumed(self) -> None:
        window = ReceiveWindow(200_000, FIRST)
        window.receive(100_000)
        assert self.credit(window, 99_999) == 0
        assert self.credit(window, 1) == 100_000
        assert self.credit(window, 1) == 0
        window.receive(200_000)
        with pytest.raises(ConnectionFault):
            window.receive(1)

    def test_credit_comes_at_once_when_less_is_left_than_a_new_stream_may_send(self) -> None:
        window = ReceiveWindow(200_000, FIRST)
        window.receive(200_000 - FIRST)
        assert self.credit(window, 10) == 0
        window.receive(1)
        assert self.credit(window, 20) == 30  # what was consumed before, too
        assert self.credit(window, 20) == 0

    def test_credit_that_is_not_given_yet_may_not_be_used(self) -> None:
        window = ReceiveWindow(100_000, FIRST)
        window.receive(100_000)
        window.consume(100_000)
        with pytest.raises(ConnectionFault):
            window.receive(1)

    def test_it_is_used_up_until_credit_is_due(self) -> None:
        window = ReceiveWindow(100_000, FIRST)
        window.receive(99_999)
        assert not window.is_used_up
        window.receive(1)
        assert window.is_used_up
        window.consume(1)
        assert not window.is_used_up

    def credit(self, window: ReceiveWindow, size: int) -> int:
        """What the client gets for what was consumed."""
        window.consume(size)
        return window.credit()


class Clock:
    """Seconds that a test sets."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


class TestStreamWindows:
    def windows(self, clock: Clock, round_trip: float = 0.1) -> tuple[StreamWindows, SessionStream]:
        limits = replace(LIMITS.http2, stream_window_bytes=FIRST, stream_window_most_bytes=MOST)
        windows = StreamWindows(limits, clock)
        windows.round_trip = round_trip
        return windows, SessionStream(1, 65_535, FIRST)

    def consume(self, windows: StreamWindows, stream: SessionStream, size: int) -> int:
        windows.receive(stream, size)
        return windows.credit(stream) if windows.is_due(stream, size) else 0

    def test_the_window_may_be_used_up_and_no_more(self) -> None:
        windows, stream = self.windows(Clock())
        windows.receive(stream, FIRST)
        with pytest.raises(StreamFault) as caught:
            windows.receive(stream, 1)
        assert caught.value.code == ErrorCode.FLOW_CONTROL_ERROR

    def test_credit_comes_when_half_was_consumed(self) -> None:
        windows, stream = self.windows(Clock())
        windows.receive(stream, FIRST)
        assert not windows.is_due(stream, FIRST // 2 - 1)
        assert windows.is_due(stream, 1)
        assert windows.credit(stream) == FIRST // 2
        assert stream.receive_window == FIRST // 2

    def test_half_a_window_within_two_round_trips_doubles_it_up_to_the_bound(self) -> None:
        clock = Clock()
        windows, stream = self.windows(clock)
        assert self.consume(windows, stream, FIRST // 2) == FIRST // 2  # the first time starts the watch
        clock.now += 0.19
        assert self.consume(windows, stream, FIRST // 2) == FIRST // 2 + FIRST
        clock.now += 0.19
        assert self.consume(windows, stream, FIRST) == FIRST + MOST - 2 * FIRST
        clock.now += 0.19
        assert self.consume(windows, stream, MOST // 2) == MOST // 2
        assert stream.receive_window == stream.window_size == MOST

    def test_a_slower_client_or_application_keeps_the_window(self) -> None:
        clock = Clock()
        windows, stream = self.windows(clock)
        for _ in range(10):
            clock.now += 0.21
            assert self.consume(windows, stream, FIRST // 2) == FIRST // 2

    def test_an_acknowledgement_in_no_time_counts_as_five_milliseconds(self) -> None:
        """The clock of a loop stands still during a turn."""
        clock = Clock()
        windows, stream = self.windows(clock)
        windows.acknowledged(0.0)
        assert self.consume(windows, stream, FIRST // 2) == FIRST // 2
        clock.now += 0.011
        assert self.consume(windows, stream, FIRST // 2) == FIRST // 2
        clock.now += 0.009
        assert self.consume(windows, stream, FIRST // 2) == FIRST // 2 + FIRST

    def test_without_a_measured_round_trip_nothing_grows(self) -> None:
        windows, stream = self.windows(Clock(), round_trip=0.0)
        for _ in range(10):
            assert self.consume(windows, stream, FIRST // 2) == FIRST // 2

    def test_a_bound_below_the_first_window_is_none(self) -> None:
        limits = replace(LIMITS.http2, stream_window_bytes=FIRST, stream_window_most_bytes=65_535)
        windows, stream = StreamWindows(limits, Clock()), SessionStream(1, 65_535, FIRST)
        windows.round_trip = 1.0
        for _ in range(3):
            assert self.consume(windows, stream, FIRST // 2) == FIRST // 2
