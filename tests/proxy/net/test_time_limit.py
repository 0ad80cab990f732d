"""Times of equal length: each ends in time, with one timer for all."""

from proxy.net.time_limit import TimeLimit
from tests.fakes import FakeLoop


class Stream:
    """Notes when its time was over."""

    def __init__(self, loop: FakeLoop) -> None:
        self.loop = loop
        self.over: list[float] = []

    def time_over(self) -> None:
        self.over.append(self.loop.now)


def test_each_has_its_own_time_and_all_have_one_timer() -> None:
    loop = FakeLoop()
    limit, streams = TimeLimit(loop, 2.0), [Stream(loop) for _ in range(3)]
    begins = []
    for one in streams:
        begins.append(loop.now)
        limit.begin(one)
        loop.advance(0.5)
    assert len(loop.timers) == 1
    loop.advance(10.0)
    assert [one.over for one in streams] == [[begin + 2.0] for begin in begins]
    assert not loop.timers


def test_a_forgotten_one_is_not_told_and_the_timer_ends_with_its_time() -> None:
    loop = FakeLoop()
    limit, early, late = TimeLimit(loop, 2.0), Stream(loop), Stream(loop)
    limit.begin(early)
    loop.advance(1.0)
    limit.begin(late)
    began = loop.now
    limit.forget(early)
    loop.advance(1.5)
    assert (early.over, late.over) == ([], [])
    loop.advance(1.5)
    assert late.over == [began + 2.0]
    limit.begin(early)
    limit.forget(early)
    limit.begin(early)
    limit.forget(early)
    assert len(loop.timers) == 1
    loop.advance(10.0)
    assert early.over == []
    assert not loop.timers


def test_one_that_begins_anew_has_all_of_its_time() -> None:
    loop = FakeLoop()
    limit, one = TimeLimit(loop, 2.0), Stream(loop)
    limit.begin(one)
    loop.advance(1.9)
    limit.forget(one)
    limit.begin(one)
    began = loop.now
    loop.advance(10.0)
    assert one.over == [began + 2.0]


def test_one_that_fails_does_not_stop_the_others() -> None:
    class Failing(Stream):
        def time_over(self) -> None:
            raise RuntimeError("out of order")

    loop = FakeLoop()
    limit, one = TimeLimit(loop, 2.0), Stream(loop)
    limit.begin(Failing(loop))
    limit.begin(one)
    try:
        loop.advance(2.0)
    except RuntimeError:
        loop.advance(0.0)
    assert one.over
