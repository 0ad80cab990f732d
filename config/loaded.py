"""A configuration together with the file that it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.omissions import Omissions
from config.positions import Positions
from config.problems import Problem, Severity
from config.schema import Config


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """The file of a configuration: it resolves the paths that stand in it, and says where in it a
    problem is.

    `path` is the file itself. `omissions` is empty unless the file is faulty and is read only to
    find all of its faults (`loader.survey`).
    """

    path: Path
    omissions: Omissions = field(default_factory=Omissions)
    files: Mapping[Path, Path] = field(default_factory=dict, repr=False)
    """Where the content of a file really is, for a process that may not read the file itself."""

    credentials: Path | None = None
    """The directory of the credentials that systemd hands to this service (systemd.exec(5),
    $CREDENTIALS_DIRECTORY).
    """

    positions: Positions = field(default_factory=Positions, repr=False, compare=False)
    """The line and column of each key."""

    @property
    def directory(self) -> Path:
        """The directory that paths in the file are relative to."""
        return self.path.parent

    def resolve(self, path: str) -> Path:
        """A path of the file, as this process can open it."""
        resolved = self.directory / path
        return self.files.get(resolved, resolved)

    def resolve_credential(self, name: str) -> Path | None:
        """A systemd credential, as this process can open it; None if systemd hands over none."""
        if self.credentials is None:
            return None
        path = self.credentials / name
        return self.files.get(path, path)

    def key(self, *location: str | int) -> str:
        """The key, as in the file, of a location in the configuration: `key("route", 2, "path")` is
        `route[2].path`.
        """
        return self.omissions.key(*location)

    def error(self, location: tuple[str | int, ...], found: str, allowed: str) -> Problem:
        """A problem that makes the file unusable."""
        return self.positions.located(Problem(str(self.path), self.key(*location), found, allowed))

    def warning(self, location: tuple[str | int, ...], found: str, better: str) -> Problem:
        """A problem that keeps the file usable."""
        return self.positions.located(Problem(str(self.path), self.key(*location), found, better, Severity.WARNING))


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, its file, and what reading the file has found.

    For those who read, judge or build a whole configuration. A function that uses one table takes
    that table, and the `ConfigFile` if it resolves paths or reports problems.
    """

    config: Config
    file: ConfigFile
    warnings: tuple[Problem, ...] = ()
    faults: tuple[Problem, ...] = ()
    """The errors of its file: none in a configuration that is used."""
