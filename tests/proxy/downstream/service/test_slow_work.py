"""One thread computes for all, in turn by client; what nobody waits for is passed over."""

import asyncio
import threading
from collections.abc import Callable

from proxy.downstream.service.slow_work import SharedWork, SlowWork, WorkCrowdedOut, WorkOutcome
from proxy.limits.fair_queue import NoRoom
from proxy.limits.networks import EXEMPT

A, B = b"\x0a\0\0\1", b"\x0a\0\0\2"


class Bench:
    """A thread whose first computation waits until the test lets it go."""

    def __init__(self) -> None:
        self.work = SlowWork(asyncio.get_running_loop())
        self.done: asyncio.Queue[tuple[str, bytes | None, Exception | None]] = asyncio.Queue()
        self._gate = threading.Event()
        self.entered = threading.Event()

    def begin(self, network: bytes, name: str, *, is_wanted: bool = True, fails: bool = False) -> NoRoom | None:
        """Compute something."""

        def compute() -> bytes:
            self.entered.set()
            assert self._gate.wait(10)
            if fails:
                raise ValueError(name)
            return threading.current_thread().name.encode()

        return self.work.begin(
            network,
            lambda: is_wanted,
            compute,
            lambda result, error: self.done.put_nowait((name, result, error)),
        )

    async def results(self, count: int) -> list[str]:
        """Let all go; the names in the order in which they were done."""
        self._gate.set()
        async with asyncio.timeout(10):
            return [(await self.done.get())[0] for _ in range(count)]


async def test_it_computes_elsewhere_and_answers_on_the_loop() -> None:
    bench = Bench()
    assert bench.begin(A, "one") is None
    bench._gate.set()
    async with asyncio.timeout(10):
        assert await bench.done.get() == ("one", b"slow work", None)
    assert bench.begin(A, "bad", fails=True) is None
    async with asyncio.timeout(10):
        name, result, error = await bench.done.get()
    assert (name, result, str(error)) == ("bad", None, "bad")


async def test_clients_take_turns_and_none_fills_the_queue() -> None:
    bench = Bench()
    assert bench.begin(A, "first") is None
    assert bench.entered.wait(10)
    assert [bench.begin(A, f"a{number}") for number in range(5)] == [None] * 4 + [NoRoom.SHARE]
    assert bench.begin(B, "b0") is None
    assert await bench.results(6) == ["first", "a0", "b0", "a1", "a2", "a3"]


async def test_what_is_not_wanted_any_more_is_passed_over() -> None:
    bench = Bench()
    assert bench.begin(A, "first") is None
    assert bench.entered.wait(10)
    assert bench.begin(A, "left", is_wanted=False) is None
    assert bench.begin(A, "last") is None
    assert await bench.results(2) == ["first", "last"]


async def test_in_a_full_queue_those_with_the_most_give_way_to_a_client_that_comes_new() -> None:
    bench = Bench()
    assert bench.begin(A, "first") is None
    assert bench.entered.wait(10)
    strangers = [bytes([192, 0, 2, number]) for number in range(5)]
    for network in strangers:
        assert [bench.begin(network, f"{network[3]}.{number}") for number in range(4)] == [None] * 4
    assert bench.begin(B, "new") is None
    async with asyncio.timeout(10):
        name, result, error = await bench.done.get()
    assert (name, result, type(error)) == ("0.3", None, WorkCrowdedOut)
    assert "new" in (await bench.results(8))
    bench = Bench()
    assert bench.begin(A, "first") is None
    assert bench.entered.wait(10)
    for number in range(20):
        assert bench.begin(bytes([192, 0, 2, number]), "one of each") is None
    assert bench.begin(B, "new") is NoRoom.FULL
    bench._gate.set()


async def test_exempt_clients_have_no_share_of_one() -> None:
    bench = Bench()
    assert bench.begin(EXEMPT, "first") is None
    assert bench.entered.wait(10)
    assert [bench.begin(EXEMPT, "one of many") for _ in range(10)] == [None] * 10
    await bench.results(11)


class Jobs:
    """In the place of the thread."""

    def __init__(self) -> None:
        self.room: NoRoom | None = None
        self.outcomes: list[WorkOutcome] = []

    def begin(
        self, network: bytes, is_wanted: Callable[[], bool], compute: Callable[[], bytes], outcome: WorkOutcome
    ) -> NoRoom | None:
        """Note it, or refuse."""
        assert (network, is_wanted(), compute()) == (b"network", True, b"found")
        if self.room is None:
            self.outcomes.append(outcome)
        return self.room


Told = list[tuple[str, bytes | None, Exception | None]]


def listener(name: str, told: Told) -> WorkOutcome:
    def outcome(result: bytes | None, error: Exception | None) -> None:
        told.append((name, result, error))

    return outcome


def test_all_that_joined_get_the_one_result() -> None:
    jobs, told = Jobs(), Told()
    work = SharedWork(jobs)
    assert not work.join(b"key", listener("one", told))
    assert work.begin(b"key", b"network", lambda: b"found", listener("one", told)) is None
    assert work.join(b"key", listener("two", told))
    assert not work.join(b"other", listener("three", told))
    jobs.outcomes[0](b"found", None)
    assert told == [("one", b"found", None), ("two", b"found", None)]
    assert not work.join(b"key", listener("four", told))


def test_all_that_joined_learn_of_a_failure() -> None:
    jobs, told = Jobs(), Told()
    work, error = SharedWork(jobs), ValueError()
    work.begin(b"key", b"network", lambda: b"found", listener("one", told))
    work.join(b"key", listener("two", told))
    jobs.outcomes[0](None, error)
    assert told == [("one", None, error), ("two", None, error)]


def test_nothing_can_be_joined_that_was_not_taken() -> None:
    jobs, told = Jobs(), Told()
    jobs.room = NoRoom.FULL
    work = SharedWork(jobs)
    assert work.begin(b"key", b"network", lambda: b"found", listener("one", told)) is NoRoom.FULL
    assert not work.join(b"key", listener("two", told))
