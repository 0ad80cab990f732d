"""A stranger at work: steps of a document, typed into terminals of a room."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.debian_roots import RootError
from tests.fresh.rooms import Room
from tests.fresh.terminals import Terminal, terminal
from tests.fresh.walks import Command, File, Packages, Walk

READY = r"^listener \w+: "
"""What the proxy prints when it serves, in the format `pretty`; the same in JSON."""
READY_AS_JSON = r'"event": ?"ready"'
COMMAND_SECONDS = 1_200.0
"""pip compiles the hot path, on a machine with other work."""
STOP_SECONDS = 60.0
CONFIGURATION = "plexigate.toml"


@dataclass
class Visit:
    """The terminals of a user. The last one that is opened is typed into."""

    room: Room
    user: str
    directory: str
    say: Callable[[str], None]
    _environment: list[Command] = field(default_factory=list)
    _open: list[Terminal] = field(default_factory=list)
    _serving: list[tuple[Command, Terminal]] = field(default_factory=list)
    _stack: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def terminals(self) -> Iterator[None]:
        """Close all terminals afterwards."""
        with self._stack:
            yield

    def follow(self, walk: Walk) -> None:
        """Do the steps of a section in order. Raises RootError, which names the section and the command."""
        for step in walk.steps:
            try:
                match step:
                    case Packages(text):
                        self.say(f"-- {walk.title}: as root, {text}")
                        self.room.run(text)
                    case File():
                        self._save(step)
                    case Command():
                        self.say(f"-- {walk.title}: {step.text}")
                        self._type(step)
            except RootError as error:
                raise RootError(f"{walk.title}: {step.text.strip()}\n{error}{self._last_lines()}") from None

    def stop(self) -> None:
        """Press Ctrl-C where a command serves, and wait until it has ended. Raises RootError when it does not exit with 0."""
        while self._serving:
            command, where = self._serving.pop()
            where.interrupt()
            status, _ = where.ended(STOP_SECONDS)
            if status != 0:
                raise RootError(f"`{command.text}` exits with {status} after Ctrl-C{self._last_lines()}")
            self.say(f"-- Ctrl-C ended {command.text}")
            self._open = [where]

    def _type(self, command: Command) -> None:
        where = self._terminal()
        if command.is_environment:
            self._environment.append(command)
        if command.is_foreground:
            where.start(command.text)
            where.reads(f"{READY}|{READY_AS_JSON}", COMMAND_SECONDS)
            self._serving.append((command, where))
            return
        began = time.monotonic()
        where.start(command.text)
        status, printed = where.ended(COMMAND_SECONDS)
        if status != command.status:
            raise RootError(f"it exits with {status}, not with {command.status}")
        if (line := command.missing_in(printed)) is not None:
            raise RootError(f"the document shows a line that it does not print: {line}")
        if (seconds := time.monotonic() - began) > 10:
            self.say(f"   took {seconds:.0f} s")

    def _terminal(self) -> Terminal:
        """A terminal in which nothing serves; a new one has the PATH and the directory of the first."""
        for _, where in self._serving:
            where.listen()
        used = [where for _, where in self._serving]
        if self._open and self._open[-1] not in used:
            return self._open[-1]
        made = self._stack.enter_context(terminal(self.room.entering(self.user, self.directory), lambda _: None))
        for command in self._environment:
            made.run(command.text, 20)
        self._open.append(made)
        return made

    def _save(self, file: File) -> None:
        """Save the configuration in the directory of the terminal."""
        place = PurePosixPath(self._terminal().run("pwd", 20).strip()) / CONFIGURATION
        self.say(f"-- save {place}")
        path = self.room.root / place.relative_to("/")
        former = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(file.over(former), encoding="utf-8")
        self.room.run(f"chown {self.user} {shlex.quote(str(place))}")

    def _last_lines(self) -> str:
        shown = ["", *(line for where in self._open for line in where.output.splitlines()[-25:])]
        return "\n  | ".join(shown)
