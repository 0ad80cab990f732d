"""Several workers at once: who answers, who says no, who is late."""

import asyncio
from typing import Any, cast

from proxy.supervisor.asking import answers, refusals
from proxy.supervisor.channel import Body, ChannelLost, Refused
from proxy.supervisor.process import WorkerProcess


class Worker:
    """Answers as the test says; `None`: not at all."""

    def __init__(self, answer: Body | Exception | None) -> None:
        self.answer = answer
        self.asked: list[tuple[Any, ...]] = []

    async def ask(self, *question: Any) -> Body:
        """Note the question."""
        self.asked.append(question)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.answer is not None
        return self.answer


def workers(*several: Worker) -> list[WorkerProcess]:
    return [cast("WorkerProcess", one) for one in several]


async def test_each_has_its_answer_and_none_where_there_is_none() -> None:
    good, bad, late = Worker({"pid": 1}), Worker(ChannelLost()), Worker(None)
    loop, asked = asyncio.get_running_loop(), workers(good, bad, late)
    found = await answers(loop, asked, "scrape", {"a": 1}, 0.01)
    assert list(found.values()) == [{"pid": 1}, None, None]
    assert good.asked == [("scrape", {"a": 1})]
    assert await answers(loop, [], "scrape", {}, 0.01) == {}


async def test_who_said_no_is_told_apart_from_who_is_late_or_gone() -> None:
    no, gone, late, yes = Worker(Refused({"error": "no"})), Worker(ChannelLost()), Worker(None), Worker({})
    loop, asked = asyncio.get_running_loop(), workers(no, gone, late, yes)
    assert await refusals(loop, asked, lambda _: ("accept", {}, []), 0.01) == [asked[0]]
    assert await refusals(loop, [], lambda _: ("accept", {}, []), 0.01) == []
