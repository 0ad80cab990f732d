"""Loop lag: a timer that comes late is counted by how late, and one that comes early is on time."""

from proxy.figures.histogram import LAG_SECONDS, Histogram
from proxy.observe.lag import LoopLag
from tests.fakes import FakeLoop


class Stopwatch:
    """A clock that the test winds, beside that of the loop."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def measured(*late: float) -> tuple[Histogram, LoopLag, FakeLoop]:
    loop, clock, histogram = FakeLoop(), Stopwatch(), Histogram(LAG_SECONDS)
    lag = LoopLag(loop, clock, histogram)
    lag.start()
    for seconds in late:
        clock.now += 0.1 + seconds
        loop.advance(0.1)
    return histogram, lag, loop


def test_each_period_is_counted_by_its_delay() -> None:
    histogram, _, _ = measured(0.0, 0.004, 0.3)
    assert histogram.counts == [1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert abs(histogram.sum - 0.304) < 1e-9


def test_a_timer_that_comes_early_is_on_time() -> None:
    histogram, _, _ = measured(-0.001)
    assert (histogram.counts[0], histogram.sum) == (1, 0.0)


def test_nothing_is_measured_before_the_start_or_after_the_end() -> None:
    histogram, lag, loop = measured(0.0)
    lag.stop()
    lag.stop()
    loop.advance(10)
    assert sum(histogram.counts) == 1
