"""Ask several workers at once, and wait for none of them longer than is said."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from proxy.processes.messages.answers import PreparedToServe
from proxy.processes.messages.questions import Prepare, Question
from proxy.processes.messages.refusals import QuestionRefused
from proxy.processes.messages.wire import AnswerT


class Askable(Protocol):
    """Who can be asked: a `WorkerProcess`."""

    async def ask(self, question: Question[AnswerT], descriptors: Sequence[int] = ()) -> AnswerT:
        """Ask it. Raises `QuestionRefused` or `ChannelLost`."""


AskedT = TypeVar("AskedT", bound=Askable)

Asked = tuple[Question[object], Sequence[int]]
"""A question and its descriptors."""
QuestionOf = Callable[[AskedT], Asked]
"""What a worker is asked."""
Preparation = tuple[list[PreparedToServe], list[AskedT]]
"""What workers have answered, and those that were given up."""


async def answers(
    loop: asyncio.AbstractEventLoop, workers: Sequence[AskedT], question: Question[AnswerT], seconds: float
) -> dict[AskedT, AnswerT | None]:
    """Ask all the same; None of one that has not answered in time, or with an error."""
    asked = {loop.create_task(one.ask(question)): one for one in workers}
    if not asked:
        return {}
    answered, late = await asyncio.wait(asked, timeout=seconds)
    for task in late:
        task.cancel()
    return {
        worker: task.result() if task in answered and task.exception() is None else None
        for task, worker in asked.items()
    }


async def refusals(
    loop: asyncio.AbstractEventLoop, workers: Sequence[AskedT], question: QuestionOf[AskedT], seconds: float
) -> list[AskedT]:
    """Ask each its question; answers those that said no, or that descriptors could not be copied
    for. One that is late, or gone, has said nothing.
    """
    asked = {loop.create_task(one.ask(*question(one))): one for one in workers}
    if not asked:
        return []
    answered, late = await asyncio.wait(asked, timeout=seconds)
    for task in late:
        task.cancel()
    return [asked[task] for task in answered if isinstance(task.exception(), QuestionRefused | OSError)]


async def prepared(
    loop: asyncio.AbstractEventLoop,
    workers: Sequence[AskedT],
    asked_for: tuple[Prepare, Sequence[int]],
    is_given_up: Callable[[AskedT], bool],
    seconds: float,
) -> Preparation[AskedT]:
    """What all have answered but those that are given up meanwhile, which is looked at every so
    many seconds; and these.

    Raises `QuestionRefused`, `ChannelLost` or `OSError` as soon as one cannot.
    """
    asked = {loop.create_task(one.ask(*asked_for)): one for one in workers}
    waiting, silent = set(asked), set[asyncio.Task[PreparedToServe]]()
    try:
        while waiting:
            answered, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in answered:
                await task
            waiting -= answered
            silent |= {task for task in waiting if is_given_up(asked[task])}
            waiting -= silent
        return [task.result() for task in asked if task not in silent], [asked[task] for task in silent]
    finally:
        for task in asked:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()  # the first one was told; several refuse for the same reason, mostly
