"""Ask several workers at once, and wait for none of them longer than is said."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from proxy.processes.channel import Body
from proxy.processes.messages.refusals import QuestionRefused


class Askable(Protocol):
    """Who can be asked: a `WorkerProcess`."""

    async def ask(self, kind: str, body: Body | None = None, descriptors: Sequence[int] = ()) -> Body:
        """Ask it. Raises `QuestionRefused` or `ChannelLost`."""


AskedT = TypeVar("AskedT", bound=Askable)

Asked = tuple[str, Body, list[int]]
"""Kind, body and descriptors."""
Question = Callable[[AskedT], Asked]
"""What a worker is asked."""
Preparation = tuple[list[Body], list[AskedT]]
"""What workers have answered, and those that were given up."""


async def answers(
    loop: asyncio.AbstractEventLoop, workers: Sequence[AskedT], kind: str, body: Body, seconds: float
) -> dict[AskedT, Body | None]:
    """Ask all the same; None of one that has not answered in time, or with an error."""
    asked = {loop.create_task(one.ask(kind, body)): one for one in workers}
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
    loop: asyncio.AbstractEventLoop, workers: Sequence[AskedT], question: Question[AskedT], seconds: float
) -> list[AskedT]:
    """Ask each its question; answers those that said no, or that descriptors could not be copied for. One that is late, or gone, has said nothing."""
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
    asked_for: Asked,
    is_given_up: Callable[[AskedT], bool],
    seconds: float,
) -> Preparation[AskedT]:
    """What all have answered but those that are given up meanwhile, which is looked at every so many seconds; and these.

    Raises `QuestionRefused`, `ChannelLost` or `OSError` as soon as one cannot.
    """
    asked = {loop.create_task(one.ask(*asked_for)): one for one in workers}
    waiting, silent = set(asked), set[asyncio.Task[Body]]()
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
