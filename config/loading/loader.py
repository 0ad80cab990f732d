"""Read a configuration file.

`load` is for those who want to use it: a usable configuration, or one exception with every fault.
`survey` is for those who judge it further: the part of the file that could be read, and the faults
so far.
"""

import copy
import re
import tomllib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.crosschecks.crosschecks import cross_check
from config.loading.loaded import ConfigFile, LoadedConfig
from config.loading.places import missing_places, unfit_files
from config.loading.positions import Position, Positions
from config.loading.reading import FileUnfit, credentials_directory, read_regular
from config.loading.rejections import Rejection, rejections
from config.schema import Config
from config.values.omissions import Omissions
from config.values.problems import ConfigError, Problem

__all__ = ["LoadedConfig", "Survey", "accepted", "load", "read_file", "survey", "surveyed"]

# Far above any real configuration; keeps a device or a log that was named by mistake out of memory.
_LARGEST_FILE = 1_048_576  # bytes

# Before Python 3.14 tomllib says the place of a fault in its message only.
_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)

# What some editors put before a text.
_MARKS: Mapping[str, bytes] = {"UTF-8": BOM_UTF8, "UTF-16": BOM_UTF16_LE, "UTF-16 (big-endian)": BOM_UTF16_BE}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Survey:
    """What could be read of a file (None: nothing), and everything that is wrong with it, warnings
    included.
    """

    loaded: LoadedConfig | None
    problems: tuple[Problem, ...]

    @property
    def is_usable(self) -> bool:
        """Whether nothing stands against a start, as far as the file alone tells."""
        return not any(problem.is_error for problem in self.problems)


def load(path: Path) -> LoadedConfig:
    """Read a configuration; raises `ConfigError` with all of its problems."""
    return accepted(read_file(path), path)


def accepted(content: bytes, path: Path) -> LoadedConfig:
    """Read the content of a configuration file; raises `ConfigError` with all of its problems."""
    result = surveyed(content, path)
    if result.loaded is None or not result.is_usable:
        raise ConfigError(result.problems)
    return result.loaded


def survey(path: Path) -> Survey:
    """Read as much of a configuration as can be understood, and collect all of its problems."""
    try:
        return surveyed(read_file(path), path)
    except ConfigError as error:
        return Survey(None, error.problems)


def surveyed(content: bytes, path: Path) -> Survey:
    """What can be read of a file with this content, and what is wrong with it."""
    try:
        document = _parse(content, str(path))
    except ConfigError as error:
        return Survey(None, error.problems)
    config, omissions, problems = _understand(document, str(path))
    problems += cross_check(config, str(path), omissions)
    positions = Positions(content.decode())
    loaded = LoadedConfig(
        config,
        ConfigFile(path, omissions=omissions, credentials=credentials_directory(), positions=positions),
        document=document,
    )
    loaded, unfit = unfit_files(loaded)
    told = {problem.key for problem in unfit}
    missing = [problem for problem in missing_places(loaded) if problem.key not in told]
    problems = [*map(positions.located, problems), *missing, *unfit]
    warnings = tuple(problem for problem in problems if not problem.is_error)
    faults = tuple(problem for problem in problems if problem.is_error)
    return Survey(replace(loaded, warnings=warnings, faults=faults), tuple(problems))


def read_file(path: Path) -> bytes:
    """Read a configuration file; raises `ConfigError`."""
    try:
        content = read_regular(path, _LARGEST_FILE + 1).content
    except FileUnfit as error:
        raise _unreadable(path, f"{error.strerror}", "a regular file") from None
    except OSError as error:
        raise _unreadable(path, f"{error.strerror} when reading it", "a readable TOML file") from None
    if len(content) > _LARGEST_FILE:
        raise _unreadable(path, f"more than {_LARGEST_FILE:_} bytes", "a smaller TOML file")
    return content


def _parse(content: bytes, file: str) -> Document:
    mark = next((name for name, bytes_ in _MARKS.items() if content.startswith(bytes_)), None)
    if mark is not None:
        allowed = 'TOML in UTF-8 without a mark: save it as "UTF-8", not as "UTF-8 with BOM" or "Unicode"'
        raise _unreadable(file, f"the byte order mark (BOM) of {mark} before the first key", allowed, Position(1, 1))
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        place = _end_of(content[: error.start].decode())
        raise _unreadable(file, "a byte that is not UTF-8", "TOML in UTF-8", place) from None
    except tomllib.TOMLDecodeError as error:
        # The message has the place and at most one character or the name of a table.
        said = _PLACE.fullmatch(str(error))
        assert said is not None  # in each of its messages
        place = Position(int(said[2]), int(said[3])) if said[2] else _end_of(content.decode())
        raise _unreadable(file, f"no TOML: {said[1]}", "valid TOML (https://toml.io)", place) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, lists within lists within lists
        raise _unreadable(file, "TOML that is too long or too deep to read", "plain TOML") from None


def _end_of(text: str) -> Position:
    """The place behind the last character of a text."""
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"))


def _unreadable(file: str | Path, found: str, allowed: str, place: Position | None = None) -> ConfigError:
    problem = Problem(str(file), "", found, allowed)
    return ConfigError([problem if place is None else replace(problem, line=place.line, column=place.column)])


def _understand(document: Document, file: str) -> tuple[Config, Omissions, list[Problem]]:
    """Read a document, leaving out what is refused until the rest is accepted.

    Ends because each round leaves out at least one value that is there, and an empty document is
    accepted.
    """
    document = copy.deepcopy(document)
    omissions = Omissions()
    problems: list[Problem] = []
    while True:
        try:
            return Config.model_validate(omissions.without(document)), omissions, problems
        except ValidationError as error:
            refused = rejections(error, document, omissions)
        problems += [entry.problem(file) for entry in refused if not entry.follows_from(omissions)]
        _discard_unknown_keys(document, refused)
        left_out = {entry.omitted for entry in refused if not entry.is_unknown_key}
        omissions = Omissions(omissions.locations | left_out)


def _discard_unknown_keys(document: Document, refused: list[Rejection]) -> None:
    for entry in refused:
        if entry.is_unknown_key:
            *way, key = entry.location
            table: Any = document
            for part in way:
                table = table[part]
            del table[key]
