"""Ask several workers at once, and wait for none of them longer than is said."""

import asyncio
from collections.abc import Callable, Sequence

from proxy.supervisor.channel import Body, Refused
from proxy.supervisor.process import WorkerProcess

Question = Callable[[WorkerProcess], tuple[str, Body, list[int]]]
"""What a worker is asked: kind, body and descriptors."""


async def answers(
    loop: asyncio.AbstractEventLoop, workers: Sequence[WorkerProcess], kind: str, body: Body, seconds: float
) -> dict[WorkerProcess, Body | None]:
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
    loop: asyncio.AbstractEventLoop, workers: Sequence[WorkerProcess], question: Question, seconds: float
) -> list[WorkerProcess]:
    """Ask each its question; answers those that said no. One that is late, or gone, has said nothing."""
    asked = {loop.create_task(one.ask(*question(one))): one for one in workers}
    if not asked:
        return []
    answered, late = await asyncio.wait(asked, timeout=seconds)
    for task in late:
        task.cancel()
    return [asked[task] for task in answered if isinstance(task.exception(), Refused)]
