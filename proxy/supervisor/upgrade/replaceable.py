"""The process that an upgrade replaces, and what it can hand over."""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxy.supervisor.crew import Crew
from proxy.supervisor.upgrade.handover import ADMIN, LISTENING, STANDARD_ERROR, STATE
from proxy.supervisor.upgrade.program import StartCommand


class Doors(Protocol):
    """The admin server (`AdminServer`)."""

    @property
    def handed(self) -> list[tuple[str, int]]:
        """Its listening sockets by name."""

    def rest(self) -> None: ...

    def resume(self) -> None: ...

    def leave(self, places: Collection[str]) -> None:
        """Another process has the Unix sockets at these paths."""


@dataclass(frozen=True, slots=True)
class Replaceable:
    """What has to be known of this process to replace it."""

    start: StartCommand
    doors: Doors
    state: Callable[[], Sequence[tuple[Path, int]]]
    """Tells the directories of state and their locks."""
    pid: int
    user: int
    """The effective user id."""

    def descriptors(self, crew: Crew) -> list[tuple[str, int]]:
        """Everything that the new process gets, by name."""
        listening = [(LISTENING + name, sock.fileno()) for name, sock in crew.sockets.handed]
        admin = [(ADMIN + name, number) for name, number in self.doors.handed]
        state = [(f"{STATE}{path}", number) for path, number in self.state()]
        return [*listening, *admin, *state, (STANDARD_ERROR, 2)]


def this_process(start: StartCommand, doors: Doors, state: Callable[[], Sequence[tuple[Path, int]]]) -> Replaceable:
    return Replaceable(start, doors, state, os.getpid(), os.geteuid())
