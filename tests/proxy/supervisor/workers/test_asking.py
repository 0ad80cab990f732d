"""Several workers at once: who answers, who says no, who is late."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.observe.startup import Offers
from proxy.payload.keys.payload_keys import PayloadKeys
from proxy.processes.channel import ChannelLost
from proxy.processes.messages.answers import Done, PreparedToServe, WorkerFigures
from proxy.processes.messages.questions import EndNow, Prepare, Question, TellFigures
from proxy.processes.messages.refusals import QuestionFailed, QuestionRefused
from proxy.processes.messages.wire import AnswerT
from proxy.supervisor.workers.asking import answers, prepared, refusals
from proxy.tls.openssl.tickets import TicketSecrets
from tests.waiting import until_seen

FIGURES = WorkerFigures(1, {}, ())
READY, READY_TOO = (PreparedToServe(Offers("compiled", name, "libssl", (), ()), (), ()) for name in ("3.5.0", "3.5.1"))
PREPARE = Prepare(
    1,
    "a.toml",
    {},
    datetime(2026, 1, 1, tzinfo=UTC),
    TicketSecrets(bytes(32)),
    {},
    (),
    has_served=False,
    payload=PayloadKeys(),
)


class Worker:
    """Answers as the test says; `None`: not at all."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[object] = []

    async def ask(self, question: Question[AnswerT], descriptors: Sequence[int] = ()) -> AnswerT:
        """Note the question."""
        assert list(descriptors) in ([], [3])
        self.asked.append(question)
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        answer: AnswerT = self.answer
        return answer


async def test_each_has_its_answer_and_none_where_there_is_none() -> None:
    good, bad, late = Worker(FIGURES), Worker(ChannelLost()), Worker(None)
    loop, asked = asyncio.get_running_loop(), [good, bad, late]
    found = await answers(loop, asked, TellFigures(), 0.01)
    assert list(found.values()) == [FIGURES, None, None]
    assert good.asked == [TellFigures()]
    assert await answers(loop, [], TellFigures(), 0.01) == {}


async def test_who_said_no_is_told_apart_from_who_is_late_or_gone() -> None:
    no, gone, late, yes = (
        Worker(QuestionRefused(QuestionFailed("no"))),
        Worker(ChannelLost()),
        Worker(None),
        Worker(Done()),
    )
    loop, asked = asyncio.get_running_loop(), [no, gone, late, yes]
    assert await refusals(loop, asked, lambda _: (EndNow(), []), 0.01) == {asked[0]: "no"}
    assert await refusals(loop, [], lambda _: (EndNow(), []), 0.01) == {}


async def test_one_that_is_known_to_be_silent_is_asked_and_not_waited_for() -> None:
    silent, no = Worker(None), Worker(QuestionRefused(QuestionFailed("no")))
    async with asyncio.timeout(30):
        for asked in ([silent], [silent, no]):
            found = await refusals(
                asyncio.get_running_loop(), asked, lambda _: (EndNow(), []), 3_600.0, silent={silent, no}
            )
            assert found == {one: "no" for one in asked if one is no}
    assert silent.asked == [EndNow(), EndNow()]


async def test_one_that_could_not_be_told_counts_as_a_no() -> None:
    loop, asked = asyncio.get_running_loop(), [Worker(OSError(24, "Too many open files")), Worker(Done())]
    assert await refusals(loop, asked, lambda _: (EndNow(), [3]), 0.01) == {asked[0]: "[Errno 24] Too many open files"}


class TestPreparing:
    """All, but those who are given up."""

    async def test_all_answer(self) -> None:
        loop, asked = asyncio.get_running_loop(), [Worker(READY), Worker(READY_TOO)]
        found = await prepared(loop, asked, (PREPARE, []), lambda _: False, 0.01)
        assert found == ([READY, READY_TOO], [])
        assert await prepared(loop, [], (PREPARE, []), lambda _: False, 0.01) == ([], [])

    async def test_one_that_is_given_up_is_waited_for_no_longer(self) -> None:
        loop, asked = asyncio.get_running_loop(), [Worker(READY), Worker(None)]
        found = await prepared(loop, asked, (PREPARE, []), lambda one: one is asked[1], 0.01)
        assert found == ([READY], [asked[1]])

    async def test_the_first_no_ends_it(self) -> None:
        loop, asked = (
            asyncio.get_running_loop(),
            [Worker(None), Worker(QuestionRefused(QuestionFailed(""))), Worker(QuestionRefused(QuestionFailed("")))],
        )
        with pytest.raises(QuestionRefused):
            await prepared(loop, asked, (PREPARE, []), lambda _: False, 0.01)


@pytest.mark.parametrize("ask", [answers, refusals])
async def test_who_is_cancelled_leaves_no_question_behind(ask: Any) -> None:
    loop = asyncio.get_running_loop()
    workers = [Worker(ChannelLost()), Worker(None)]
    before = asyncio.all_tasks()
    question: Any = TellFigures() if ask is answers else lambda _: (TellFigures(), ())
    asking = loop.create_task(ask(loop, workers, question, 60.0))
    await until_seen(lambda: workers[1].asked)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
