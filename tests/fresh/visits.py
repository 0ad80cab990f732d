"""An untrusted client at work: steps of a document, typed into terminals of a room."""

import http.client
import shlex
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.debian_roots import RootError
from tests.fresh.figures import Figure, children, seconds_of
from tests.fresh.rooms import Room
from tests.fresh.terminals import Terminal, terminal
from tests.fresh.walks import Command, File, Packages, Walk

READY = r"^\S+  ready: hot path "
"""What the proxy prints when it serves, in the format `pretty`; the same in JSON."""
READY_AS_JSON = r'"event": ?"ready"'
COMMAND_SECONDS = 3_600.0
"""The tests of a fresh machine, with other work on it."""
STOP_SECONDS = 60.0
LEFT_SECONDS = 10.0
CONFIGURATION = "plexigate.toml"


@dataclass
class Visit:
    """The terminals of a user. The last one that is opened is typed into."""

    room: Room
    user: str
    directory: str
    say: Callable[[str], None]
    figures: list[Figure] = field(default_factory=list)
    _environment: list[Command] = field(default_factory=list)
    _open: list[Terminal] = field(default_factory=list)
    _all: list[Terminal] = field(default_factory=list)
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

    def start(self, command: Command, what: str, address: tuple[str, int]) -> None:
        """Type a command that serves, and note when this address first answers by HTTPS. Raises RootError."""
        self.say(f"-- {what}")
        where, began = self._terminal(), time.monotonic()
        where.start(command.text)
        self._serving.append((command, where))
        while not answers(address):
            where.listen()
            if where.has_ended or time.monotonic() - began > COMMAND_SECONDS:
                raise RootError(f"`{command.text}` does not serve{self._last_lines()}")
            time.sleep(0.1)
        self.figures.append(Figure(what, time.monotonic() - began))
        self.say(f"   after {self.figures[-1].seconds:.1f} s")
        where.reads(READY, STOP_SECONDS)

    def left_nothing(self) -> None:
        """Raises RootError if something runs in the room but its terminals, some seconds after the last Ctrl-C."""
        deadline = time.monotonic() + LEFT_SECONDS
        shells = {one.shell for one in self._all}
        while left := {process: name for process, name in self.room.processes() if process not in shells}:
            if time.monotonic() > deadline:
                raise RootError(f"these run on after Ctrl-C: {', '.join(map(str, left.items()))}")
            time.sleep(0.1)

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
        began, spent = time.monotonic(), where.spent()
        where.start(command.text)
        if command.is_foreground:
            where.reads(f"{READY}|{READY_AS_JSON}", COMMAND_SECONDS)
            self._serving.append((command, where))
            self.figures.append(Figure(f"{command.text}: serves", time.monotonic() - began))
            for process in children(where.shell):
                workers = children(process)
                self.figures.append(Figure("  its parent process", 0, seconds_of(process)))
                self.figures += [Figure("  a child of it", 0, seconds_of(one)) for one in workers]
            return
        status, printed = where.ended(COMMAND_SECONDS)
        self.figures.append(Figure(command.text, time.monotonic() - began, where.spent() - spent))
        if status != command.status:
            raise RootError(f"it exits with {status}, not with {command.status}")
        if (line := command.missing_in(printed)) is not None:
            raise RootError(f"the document shows a line that it does not print: {line}")

    def waits_for(self, pattern: str, what: str, began: float) -> None:
        """Wait until what serves has printed this, and note when that was. Raises RootError."""
        _, where = self._serving[-1]
        where.reads(pattern, COMMAND_SECONDS)
        self.figures.append(Figure(what, time.monotonic() - began))

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
        self._all.append(made)
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


def answers(address: tuple[str, int]) -> bool:
    """Whether an HTTP answer comes from there, by TLS. The certificate is for people to trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(*address, timeout=5, context=context)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
