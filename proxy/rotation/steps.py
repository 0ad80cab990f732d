"""The steps of a rotation: the lines of `POST /certificates/NAME/rotate`, and who hears them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from certs.rotation.planning import Key
from proxy.api.certificates import RollbackRow, RotationLine
from proxy.rotation.running import NotRenewed, Renewed

GONE: Final[RotationLine] = {"ok": False, "detail": "the configuration that is served now has no such credential"}
_END: Final[RotationLine] = {}
"""Marks the end: no further step follows."""


class Listeners:
    """Who hears the steps of which credential. One that stops listening stops nothing."""

    def __init__(self) -> None:
        self._queues: dict[Key, list[asyncio.Queue[RotationLine]]] = {}

    @property
    def keys(self) -> Set[Key]:
        """The credentials whose steps a caller listens to."""
        return self._queues.keys()

    @contextmanager
    def listening(self, key: Key) -> Iterator["Steps"]:
        """Hear each step from now on: iterate once for each rotation."""
        queue: asyncio.Queue[RotationLine] = asyncio.Queue()
        queues = self._queues.setdefault(key, [])
        queues.append(queue)
        try:
            yield Steps(queue)
        finally:
            queues.remove(queue)
            if not queues:
                del self._queues[key]

    def tell(self, key: Key, step: RotationLine) -> None:
        for queue in self._queues.get(key, ()):
            queue.put_nowait(step)

    def end(self, key: Key, step: RotationLine) -> None:
        """The last step was done."""
        self.tell(key, step)
        self.tell(key, _END)


class Steps:
    """Each iteration ends with the last step of a rotation; the next one has what follows."""

    def __init__(self, queue: asyncio.Queue[RotationLine]) -> None:
        self._queue = queue

    async def __aiter__(self) -> AsyncIterator[RotationLine]:
        while (step := await self._queue.get()) is not _END:
            yield step


def waiting(issuer: str, now: datetime, seconds: float, last_error: str | None) -> RotationLine:
    """The issuer has asked to wait, and until when.

    `last_error` is what it said last, if that was about this credential.
    """
    said = "" if last_error is None else f" ({last_error})"
    detail = f"rate-limited by issuer {issuer}{said}; --now asks it anyway"
    until = (now + timedelta(seconds=seconds)).isoformat()
    return {"step": "waiting", "until": until, "seconds": round(seconds, 1), "detail": detail}


def busy(issuer: str) -> RotationLine:
    """The issuer is being asked for another certificate."""
    return {"note": f"queued: issuer {issuer} is busy with another request"}


def rolled_back(key: Key, outcome: Renewed | NotRenewed) -> RollbackRow:
    row: RollbackRow = {"identity": key[0], "credential": key[1], "ok": isinstance(outcome, Renewed)}
    if isinstance(outcome, Renewed):
        return {**row, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
    return {**row, "step": outcome.step.value, "kind": outcome.kind.value, "detail": outcome.detail}


def last_word(outcome: Renewed | NotRenewed) -> RotationLine:
    if isinstance(outcome, Renewed):
        return {"ok": True, "version": outcome.version, "serial": f"{outcome.leaf.serial_number:x}"}
    return {"ok": False, "step": outcome.step.value, "kind": outcome.kind.value, "detail": outcome.detail}
