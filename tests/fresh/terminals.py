"""A terminal with a shell in it, into which commands are typed as a document has them."""

import os
import pty
import re
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.debian_roots import RootError
from tests.fresh.figures import children, ended_children_seconds

_PROMPT = "PS1='plexigate-fresh $?\\n'; PS2="
_ENDS = re.compile(r"plexigate-fresh (\d+)\n")
_NOT_TEXT = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\r")
_CTRL_C = b"\x03"


@dataclass
class Terminal:
    """A shell whose output is kept. One command at a time runs in the foreground."""

    descriptor: int
    shell: int
    echo: Callable[[str], None]
    output: str = ""

    def spent(self) -> float:
        """Seconds of CPU of all commands that have ended."""
        return ended_children_seconds(self.shell)

    def run(self, command: str, seconds: float) -> str:
        """Type a command, and wait until it ends with 0. Returns what it printed. Raises RootError."""
        self.start(command)
        status, printed = self.ended(seconds)
        if status != 0:
            raise RootError(f"`{command}` exits with {status}")
        return printed

    def start(self, command: str) -> None:
        """Type a command, and do not wait for its end."""
        self.output = ""
        os.write(self.descriptor, f"{command}\n".encode())

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended, as far as its output was read."""
        return _ENDS.search(self.output) is not None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self.descriptor, _CTRL_C)

    def ended(self, seconds: float) -> tuple[int, str]:
        """Wait for the end of the command: its exit status, and what it printed. Raises RootError."""
        deadline = time.monotonic() + seconds
        while True:
            if (found := _ENDS.search(self.output)) is not None:
                return int(found[1]), self.output[: found.start()]
            self._read(deadline - time.monotonic())

    def reads(self, pattern: str, seconds: float) -> None:
        """Wait until the output has what the pattern matches. Raises RootError."""
        deadline = time.monotonic() + seconds
        while re.search(pattern, self.output, re.MULTILINE) is None:
            if self.has_ended:
                raise RootError(f"it has ended, before it printed {pattern}")
            self._read(deadline - time.monotonic())

    def listen(self) -> None:
        """Take what has been printed meanwhile, so that a program does not wait for it."""
        while select.select([self.descriptor], [], [], 0)[0]:
            self._read(1.0)

    def _read(self, seconds: float) -> None:
        if seconds <= 0 or not select.select([self.descriptor], [], [], seconds)[0]:
            raise RootError("it takes too long")
        try:
            text = os.read(self.descriptor, 65_536).decode(errors="replace")
        except OSError:
            raise RootError("the terminal was closed") from None
        if not text:
            raise RootError("the terminal was closed")
        text = _NOT_TEXT.sub("", text)
        self.output += text
        self.echo(text)


@contextmanager
def terminal(entering: Sequence[str], echo: Callable[[str], None]) -> Iterator[Terminal]:
    """A terminal of a user of a room, which hangs up afterwards."""
    command = [*entering, "bash", "--noprofile", "--norc", "--noediting", "-i"]
    pid, descriptor = pty.fork()
    if pid == 0:
        try:
            os.execvp(command[0], command)  # noqa: S606 - there is no shell
        finally:
            os._exit(127)
    try:
        made = Terminal(descriptor, pid, echo)
        made.run(f"stty -echo columns 120 rows 50; {_PROMPT}", 20)
        while below := children(made.shell):  # nsenter waits for the shell
            made.shell = below[0]
        yield made
    finally:
        os.close(descriptor)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
