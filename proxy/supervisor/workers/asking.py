"""Ask several workers at once, each with a limit of time."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from proxy.processes.messages.answers import PreparedToServe
from proxy.processes.messages.questions import Prepare, Question
from proxy.processes.messages.refusals import QuestionRefused
from proxy.processes.messages.wire import AnswerT


class Askable(Protocol):
    """A process that can be asked: a `WorkerProcess`."""

    async def ask(self, question: Question[AnswerT], descriptors: Sequence[int] = ()) -> AnswerT:
        """Ask the process. Raises `QuestionRefused` or `ChannelLost`."""


AskedT = TypeVar("AskedT", bound=Askable)

Asked = tuple[Question[object], Sequence[int]]
QuestionOf = Callable[[AskedT], Asked]
Preparation = tuple[list[PreparedToServe], list[AskedT]]
"""The answers of workers, and the workers that were given up."""
Refusals = dict[AskedT, str]
"""The workers that said no, each with its reason."""


@contextmanager
def _asking(asked: Mapping[asyncio.Task[AnswerT], AskedT]) -> Iterator[Mapping[asyncio.Task[AnswerT], AskedT]]:
    """Leave no task behind, also if who asks is cancelled."""
    try:
        yield asked
    finally:
        for task in asked:
            task.cancel()
            if task.done() and not task.cancelled():
                task.exception()  # mostly the others have the same reason


async def answers(
    loop: asyncio.AbstractEventLoop, workers: Sequence[AskedT], question: Question[AnswerT], seconds: float
) -> dict[AskedT, AnswerT | None]:
    """Ask all workers the same. The answer is None if it is late or an error."""
    with _asking({loop.create_task(one.ask(question)): one for one in workers}) as asked:
        if not asked:
            return {}
        answered, _ = await asyncio.wait(asked, timeout=seconds)
    return {
        worker: task.result() if task in answered and task.exception() is None else None
        for task, worker in asked.items()
    }


async def refusals(
    loop: asyncio.AbstractEventLoop,
    workers: Sequence[AskedT],
    question: QuestionOf[AskedT],
    seconds: float,
    silent: Collection[AskedT] = (),
) -> Refusals[AskedT]:
    """Ask each worker its question. Returns those that said no or could not get descriptors.

    A worker that is late, or that has ended, did not say no. Those that are known to be `silent`
    are asked too, but not waited for.
    """
    with _asking({loop.create_task(one.ask(*question(one))): one for one in workers}) as asked:
        await asyncio.sleep(0)  # every question is sent
        waited = [task for task, one in asked.items() if task.done() or one not in silent]
        if waited:
            await asyncio.wait(waited, timeout=seconds)
    return {
        one: str(error)
        for task, one in asked.items()
        if task.done() and not task.cancelled() and isinstance(error := task.exception(), QuestionRefused | OSError)
    }


async def prepared(
    loop: asyncio.AbstractEventLoop,
    workers: Sequence[AskedT],
    asked_for: tuple[Prepare, Sequence[int]],
    is_given_up: Callable[[AskedT], bool],
    seconds: float,
) -> Preparation[AskedT]:
    """Ask workers to prepare. Returns the answers, and the workers that were given up meanwhile.

    Every `seconds` it looks which workers are given up. Raises `QuestionRefused`, `ChannelLost` or
    `OSError` as soon as one worker cannot prepare.
    """
    with _asking({loop.create_task(one.ask(*asked_for)): one for one in workers}) as asked:
        waiting = set(asked)
        silent = set[asyncio.Task[PreparedToServe]]()
        while waiting:
            answered, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in answered:
                await task
            waiting -= answered
            silent |= {task for task in waiting if is_given_up(asked[task])}
            waiting -= silent
        return [task.result() for task in asked if task not in silent], [asked[task] for task in silent]
