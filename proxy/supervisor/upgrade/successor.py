"""The new process as the running one sees it: started, listened to, and ended if it fails."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any, Final

from config.values.problems import Problem
from proxy.net.waiting import happened
from proxy.processes.upgrade_wire import VARIABLE, Said, WireBroken, pair
from proxy.supervisor.upgrade.program import StartCommand

# The end of what it wrote to standard error: a traceback has its cause in the last line.
_LAST_WORDS_BYTES: Final = 1_500
# From the end of its talk to the end of the process.
_EXIT_SECONDS: Final = 1.0


class UpgradeAbandoned(Exception):
    """The new process does not take over. `problems` are those of its configuration."""

    def __init__(self, reason: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(reason, problems)
        self.reason = reason
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return self.reason


class Successor:
    """A started process with a wire."""

    def __init__(self, loop: asyncio.AbstractEventLoop, command: StartCommand) -> None:
        """Start it. Raises `UpgradeAbandoned` if the system cannot."""
        self._loop = loop
        self._wire, theirs = pair()
        self._stopped: asyncio.Future[str] = loop.create_future()
        # What it writes before it knows where the errors of the running process go. A file in
        # memory needs no reader, so the process never waits for one.
        self._words = os.memfd_create("stderr", os.MFD_CLOEXEC)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - judged by `program`
                [*command.program, *command.arguments],
                env={**command.environment, VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                stderr=self._words,
                pass_fds=[theirs.fileno()],
            )
        except OSError as error:
            self.close()
            raise UpgradeAbandoned(f"{command.program[0]} could not be started: {error.strerror}") from None
        finally:
            theirs.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def say(self, kind: str, body: Mapping[str, Any] | None = None, descriptors: Sequence[int] = ()) -> None:
        """Send a message. The end of the process shows at the next `expect`."""
        with contextlib.suppress(WireBroken):
            self._wire.say(kind, body, descriptors)

    def stop(self, reason: str) -> None:
        """Let the present and each later `expect` fail."""
        if not self._stopped.done():
            self._stopped.set_result(reason)

    async def expect(self, kinds: Sequence[str], seconds: float, late: str = "it was not ready in time") -> Said:
        """The next message, which must be of one of these kinds. `late`: the reason if none comes.

        Raises `UpgradeAbandoned` for another one, at the end of the process, and after `seconds`.
        """
        said = await self._heard(seconds)
        if said is None:
            raise UpgradeAbandoned(late)
        if said.kind == "refused":
            raise _refusal(said)
        if said.kind not in kinds:
            raise UpgradeAbandoned(f"it says {said.kind[:20]!a}, which this version does not understand")
        return said

    async def silence(self, seconds: float) -> None:
        """Wait. Raises `UpgradeAbandoned` at once if the process ends or says something."""
        said = await self._heard(seconds)
        if said is not None:
            raise _refusal(said) if said.kind == "refused" else UpgradeAbandoned("it sent an unexpected message")

    async def _heard(self, seconds: float) -> Said | None:
        """The next message. None if none comes."""
        heard = self._loop.create_task(self._wire.heard(self._loop))
        try:
            either: set[asyncio.Future[Said] | asyncio.Future[str]] = {heard, self._stopped}
            await asyncio.wait(either, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
            if self._stopped.done():
                raise UpgradeAbandoned(self._stopped.result())
            return heard.result() if heard.done() else None
        except WireBroken:
            raise UpgradeAbandoned(await self._end_of_talk()) from None
        finally:
            heard.cancel()
            await asyncio.wait({heard})  # until it has let go of the wire: `close` would not close it

    async def _end_of_talk(self) -> str:
        await self._exit(_EXIT_SECONDS)
        status = self._process.poll()
        if status is None:
            return "it closed the connection"
        how = f"signal {-status}" if status < 0 else f"status {status}"
        words = self._last_words()
        return f"it ended with {how}" + (f" and wrote: {words}" if words else "")

    def _last_words(self) -> str:
        size = os.fstat(self._words).st_size
        start = max(0, size - _LAST_WORDS_BYTES)
        return os.pread(self._words, size - start, start).decode(errors="replace").strip()

    async def end(self, seconds: float) -> None:
        """Ask it to let go of its clients and to end. Kill it after `seconds`."""
        self.say("give back")
        await self._exit(seconds)
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            await self._exit(_EXIT_SECONDS)
        self.close()

    async def _exit(self, seconds: float) -> None:
        if self._process.poll() is not None:
            return
        ended = asyncio.Event()
        watch = os.pidfd_open(self._process.pid)
        self._loop.add_reader(watch, ended.set)
        try:
            await happened(ended, seconds)
        finally:
            self._loop.remove_reader(watch)
            os.close(watch)
            self._process.poll()

    def close(self) -> None:
        """Close the wire. The process continues."""
        self._wire.close()
        os.close(self._words)


def _refusal(said: Said) -> UpgradeAbandoned:
    try:
        problems = [Problem.from_json(one) for one in said.body.get("problems", ())]
    except (KeyError, TypeError, ValueError):
        problems = []  # of a version with other problems: the reason has their sentences
    return UpgradeAbandoned(str(said.body.get("reason", "it refuses")), problems)
