"""A configuration together with the file that it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.loading.positions import Positions
from config.schema import Config, IdentityConfig, ListenerConfig, RouteConfig, UpstreamConfig
from config.values.kinds import Table
from config.values.omissions import Omissions
from config.values.problems import Problem, Severity

# Tables of named entries, which may be many.
_ENTRIES: Mapping[str, type[Table]] = {
    "listener": ListenerConfig,
    "identity": IdentityConfig,
    "upstream": UpstreamConfig,
}


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
        named = self.named(path)
        return self.files.get(named, named)

    def named(self, path: str) -> Path:
        """A path of the file, as an operator finds it."""
        return self.directory / path

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
        return self.positions.located(Problem(str(self.path), self.key(*location), found, allowed))

    def warning(self, location: tuple[str | int, ...], found: str, better: str) -> Problem:
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
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """The tables of the file as they were parsed. A worker gets them and does not read TOML."""

    @classmethod
    def of_document(cls, document: Mapping[str, Any], file: ConfigFile) -> "LoadedConfig":
        """The configuration of a `document` that another process has accepted. Nothing is judged.

        Problems have no line here: the process that accepted the file knows the lines.

        Entry by entry: a thousand of them at once would be a call of many milliseconds, in which no
        other thread has its turn.
        """
        tables: dict[str, Any] = dict(document)
        for table, model in _ENTRIES.items():
            tables[table] = {name: model.model_validate(entry) for name, entry in document.get(table, {}).items()}
        tables["route"] = [RouteConfig.model_validate(entry) for entry in document.get("route", ())]
        return cls(Config.model_validate(tables), file, document=document)
