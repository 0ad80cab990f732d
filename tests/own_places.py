"""Keeps tests away from the proxies and tokens of this machine: their default places are out of reach.

The environment names other places to this process and to the programs that it starts. A test that changes the environment, or gives
a program one of its own, could still reach a default place. An audit hook (PEP 578) sees what this process opens, makes and connects
to, and the test fails.
"""

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_OF_THE_SYSTEM: Final = ("/etc/plexigate", "/run/plexigate", "/var/lib/plexigate", "/var/log/plexigate")
_WATCHED: Final = frozenset(
    {"open", "socket.bind", "socket.connect"}
    | {f"os.{name}" for name in ("chmod", "chown", "link", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir")}
    | {f"os.{name}" for name in ("symlink", "truncate", "utime")}
)


class OutsideError(AssertionError):
    """A test used a default place of the machine."""

    def __init__(self, event: str, place: str) -> None:
        super().__init__(event, place)
        self.event = event
        self.place = place

    def __str__(self) -> str:
        return f"{self.event} of {self.place}, which belongs to the proxies of this machine; tests use directories of their own"


class OwnPlaces:
    """A directory for what programs keep at default places, for as long as the tests run."""

    def __init__(self) -> None:
        """Name its parts in the environment, and watch the places that it replaces."""
        self.reached: Final[list[OutsideError]] = []
        self._forbidden: Final = _OF_THE_SYSTEM + _of_the_user(os.environ)
        self.directory = self._made()
        sys.addaudithook(self._audit)

    def take_others(self, _number: int) -> None:
        """In a process that was forked off: have a directory of its own, and remove it at the end."""
        self.directory = self._made()
        atexit.register(self.remove)

    def _made(self) -> Path:
        directory = Path(tempfile.mkdtemp(prefix="own-"))
        directory.chmod(0o711)  # workers may be other accounts, and have their temporary files in it
        for name, place in places(directory).items():
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.environ[name] = str(place)
        # Files without names, such as the spool, and others that programs forget soon. Ours are where they were.
        temporary = directory / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        os.environ["TMPDIR"] = str(temporary)
        # Tokens of SoftHSM: a file without any.
        tokens, configuration = directory / "tokens", directory / "softhsm2.conf"
        tokens.mkdir()
        configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        return directory

    def remove(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def blame(self) -> None:
        """Raise OutsideError if a default place was used since the last call."""
        if self.reached:
            first = self.reached[0]
            self.reached.clear()
            raise first

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in _WATCHED:
            return
        for argument in arguments:
            if isinstance(argument, str | bytes | Path):
                place = os.fsdecode(argument)
                if place.startswith(self._forbidden):
                    self.reached.append(OutsideError(event, place))
                    raise self.reached[-1]


def places(directory: Path) -> Mapping[str, Path]:
    """Variable of the environment -> the place below `directory` that it names to the programs of the tests."""
    of_session = {
        f"XDG_{name}": directory / name.lower()
        for name in ("CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "RUNTIME_DIR", "STATE_HOME")
    }
    # With this name it is the only place in which a command looks for the admin socket.
    return {"RUNTIME_DIRECTORY": directory / "plexigate", "STATE_DIRECTORY": directory / "state", **of_session}


def _of_the_user(environment: Mapping[str, str]) -> tuple[str, ...]:
    session = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    state = environment.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    # a process of the run that tests in parallel has another temporary directory than a proxy of this machine
    temporary = {tempfile.gettempdir(), "/tmp"}  # noqa: S108 - only names
    return (f"{session}/plexigate", f"{state}/plexigate", *(f"{one}/plexigate-{os.geteuid()}" for one in temporary))
