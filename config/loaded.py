"""A configuration together with the file that it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.omissions import Omissions
from config.positions import Positions
from config.problems import Problem, Severity
from config.schema import Config


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, the `path` of its file, the `warnings` that it raised.

    `omissions` is empty unless the file is faulty and is read only to find all of its faults (`loader.survey`).
    """

    config: Config
    path: Path
    warnings: tuple[Problem, ...] = ()
    faults: tuple[Problem, ...] = ()
    """The errors of its file: none in a configuration that is used."""
    omissions: Omissions = field(default_factory=Omissions)
    files: Mapping[Path, Path] = field(default_factory=dict, repr=False)
    """Where the content of a file really is, for a process that may not read the file itself."""

    credentials: Path | None = None
    """The directory of the credentials that systemd hands to this service (systemd.exec(5), $CREDENTIALS_DIRECTORY)."""

    positions: Positions = field(default_factory=Positions, repr=False, compare=False)
    """Where its keys stand in its file."""

    @property
    def directory(self) -> Path:
        """The directory that paths in the file are relative to."""
        return self.path.parent

    def resolve(self, path: str) -> Path:
        """A path of the file from where the process stands."""
        resolved = self.directory / path
        return self.files.get(resolved, resolved)

    def resolve_credential(self, name: str) -> Path | None:
        """A systemd credential from where the process stands; None where systemd hands over none."""
        if self.credentials is None:
            return None
        path = self.credentials / name
        return self.files.get(path, path)

    def key(self, *location: str | int) -> str:
        """The key, as in the file, of a location in `config`: `key("route", 2, "path")` is `route[2].path`."""
        return self.omissions.key(*location)

    def error(self, location: tuple[str | int, ...], found: str, allowed: str) -> Problem:
        """A problem of this file that makes it unusable."""
        return self.positions.located(Problem(str(self.path), self.key(*location), found, allowed))

    def warning(self, location: tuple[str | int, ...], found: str, better: str) -> Problem:
        """A problem of this file that is only said."""
        return self.positions.located(Problem(str(self.path), self.key(*location), found, better, Severity.WARNING))
