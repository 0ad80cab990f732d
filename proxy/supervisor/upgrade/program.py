"""Which program an upgrade starts, and whether it may.

By default it is the program file of the start, as it is installed now, with the same arguments. A
parent that runs as root starts only what root alone can change. Otherwise another user could have
root run a program of theirs, by a file that an operator names or that an installation left open.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certs.files.root_only import ROOT_ONLY, OthersCanChange, judge_program
from proxy.processes.upgrade_wire import VARIABLE

# What systemd has set for the process that it started, and for no other.
_OF_ONE_PROCESS: Final = frozenset({"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID", VARIABLE})


class ProgramRefused(Exception):
    """The program must not be started. Has the `path`, and what was `found`."""

    def __init__(self, path: str, found: str, allowed: str) -> None:
        super().__init__(path, found, allowed)
        self.path = path
        self.found = found
        self.allowed = allowed

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; allowed: {self.allowed}"


@dataclass(frozen=True, slots=True)
class StartCommand:
    """How this process was started: the program with what belongs to it, and the arguments."""

    program: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @classmethod
    def of_this_process(cls, environment: Mapping[str, str]) -> "StartCommand":
        """Call it before variables of the service manager are removed from the environment.

        The path of the program stays as it was named: a link may lead to another version by now.
        """
        arguments = tuple(sys.argv[1:])
        words = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
        program: tuple[str, ...] = (sys.executable, *words[1:])
        named = [one for one in words[1:] if one != "-P"]  # as `commands.start` begins again
        if len(named) == 1 and Path(named[0]).is_file():
            program = (str(Path(named[0]).absolute()),)
        theirs = {name: value for name, value in environment.items() if name not in _OF_ONE_PROCESS}
        if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            theirs.pop("WATCHDOG_USEC", None)  # of another process
        return cls(program, arguments, theirs)

    def with_program(self, path: str | None, user: int) -> "StartCommand":
        """The same with another program, or with the installed one if `path` is None.

        `user` is the effective user id of this process. Raises `ProgramRefused`.
        """
        program = self.program if path is None else (path,)
        file = Path(program[0])
        if not file.is_absolute():
            raise ProgramRefused(program[0], "a relative path", "the full path of a program")
        if not file.is_file() or not os.access(file, os.X_OK):
            raise ProgramRefused(program[0], "no file that this process may execute", "a program such as plexigate")
        try:
            if user == 0:
                judge_program(file)
        except OthersCanChange as error:
            raise ProgramRefused(program[0], str(error), ROOT_ONLY) from None
        except OSError as error:
            raise ProgramRefused(
                program[0], f"{error.filename}: {error.strerror}", "a program such as plexigate"
            ) from None
        return StartCommand(program, self.arguments, self.environment)
