"""Several workers at once: who answers, who says no, who is late."""

import asyncio
from collections.abc import Sequence

import pytest

from proxy.processes.channel import Body, ChannelLost
from proxy.processes.messages.refusals import QuestionFailed, QuestionRefused
from proxy.supervisor.workers.asking import answers, prepared, refusals


class Worker:
    """Answers as the test says; `None`: not at all."""

    def __init__(self, answer: Body | Exception | None) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Body | None]] = []

    async def ask(self, kind: str, body: Body | None = None, descriptors: Sequence[int] = ()) -> Body:
        """Note the question."""
        assert list(descriptors) in ([], [3])
        self.asked.append((kind, body))
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


async def test_each_has_its_answer_and_none_where_there_is_none() -> None:
    good, bad, late = Worker({"pid": 1}), Worker(ChannelLost()), Worker(None)
    loop, asked = asyncio.get_running_loop(), [good, bad, late]
    found = await answers(loop, asked, "scrape", {"a": 1}, 0.01)
    assert list(found.values()) == [{"pid": 1}, None, None]
    assert good.asked == [("scrape", {"a": 1})]
    assert await answers(loop, [], "scrape", {}, 0.01) == {}


async def test_who_said_no_is_told_apart_from_who_is_late_or_gone() -> None:
    no, gone, late, yes = Worker(QuestionRefused(QuestionFailed("no"))), Worker(ChannelLost()), Worker(None), Worker({})
    loop, asked = asyncio.get_running_loop(), [no, gone, late, yes]
    assert await refusals(loop, asked, lambda _: ("accept", {}, []), 0.01) == [asked[0]]
    assert await refusals(loop, [], lambda _: ("accept", {}, []), 0.01) == []


async def test_one_that_could_not_be_told_counts_as_a_no() -> None:
    loop, asked = asyncio.get_running_loop(), [Worker(OSError(24, "Too many open files")), Worker({})]
    assert await refusals(loop, asked, lambda _: ("accept", {}, [3]), 0.01) == [asked[0]]


class TestPreparing:
    """All, but those who are given up."""

    async def test_all_answer(self) -> None:
        loop, asked = asyncio.get_running_loop(), [Worker({"a": 1}), Worker({"a": 2})]
        found = await prepared(loop, asked, ("prepare", {}, []), lambda _: False, 0.01)
        assert found == ([{"a": 1}, {"a": 2}], [])
        assert await prepared(loop, [], ("prepare", {}, []), lambda _: False, 0.01) == ([], [])

    async def test_one_that_is_given_up_is_waited_for_no_longer(self) -> None:
        loop, asked = asyncio.get_running_loop(), [Worker({"a": 1}), Worker(None)]
        found = await prepared(loop, asked, ("prepare", {}, []), lambda one: one is asked[1], 0.01)
        assert found == ([{"a": 1}], [asked[1]])

    async def test_the_first_no_ends_it(self) -> None:
        loop, asked = (
            asyncio.get_running_loop(),
            [Worker(None), Worker(QuestionRefused(QuestionFailed(""))), Worker(QuestionRefused(QuestionFailed("")))],
        )
        with pytest.raises(QuestionRefused):
            await prepared(loop, asked, ("prepare", {}, []), lambda _: False, 0.01)
