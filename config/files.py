"""The files that a configuration names: to read them before privileges are dropped, to watch them.

Found by the type of each key (`FilePath` and its kin), so a key that is added to the schema is
found without a word here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, assert_never, get_args

from pydantic.fields import FieldInfo

from config.loaded import LoadedConfig
from config.problems import Location
from config.values import PathRole, Table


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file or directory of a configuration: the `key` that names it, and its `path` from where
    the process stands.
    """

    key: str
    path: Path
    is_directory: bool = False


def files_of(loaded: LoadedConfig) -> tuple[NamedFile, ...]:
    """Every file and directory that is read by this configuration, in the order of the schema.

    Without the file of the configuration itself, what the process writes, what is the parent's own,
    and libraries.
    """
    return tuple(
        NamedFile(loaded.file.key(*location), place, role is PathRole.DIRECTORY)
        for location, path, role in _paths(loaded.config, ())
        if (place := _place(loaded, path, role)) is not None
    )


def named_files(loaded: LoadedConfig) -> tuple[NamedFile, ...]:
    """Every file that this configuration reads, what is the parent's own included."""
    return tuple(
        NamedFile(loaded.file.key(*location), place)
        for location, path, role in _paths(loaded.config, ())
        if role is not PathRole.DIRECTORY
        and (place := loaded.file.resolve(path) if role is PathRole.OWN else _place(loaded, path, role)) is not None
    )


def places_of(loaded: LoadedConfig, *roles: PathRole) -> tuple[NamedFile, ...]:
    """The places of these roles: what the process writes, directories, libraries."""
    return tuple(
        NamedFile(loaded.file.key(*location), loaded.file.resolve(path), role is PathRole.DIRECTORY)
        for location, path, role in _paths(loaded.config, ())
        if role in roles
    )


def _place(loaded: LoadedConfig, path: str, role: PathRole) -> Path | None:
    match role:
        case PathRole.READ | PathRole.DIRECTORY:
            return loaded.file.resolve(path)
        case PathRole.CREDENTIAL:
            return loaded.file.resolve_credential(path)
        case PathRole.OWN | PathRole.WRITTEN | PathRole.LIBRARY:
            return None
        case _:
            assert_never(role)


def _paths(table: Table, place: Location) -> Iterator[tuple[Location, str, PathRole]]:
    for name, role in _roles(type(table)).items():
        written = getattr(table, name)
        if name in table.lists_of_one and written is not None and len(written) == 1:
            (written,) = written
        for location, value in _leaves(written, (*place, name)):
            if isinstance(value, Table):
                yield from _paths(value, location)
            elif role is not None and isinstance(value, str):
                yield location, value, role


def _leaves(value: object, place: Location) -> Iterator[tuple[Location, object]]:
    """What stands in a value that may be a list or a table of named entries."""
    match value:
        case dict():
            for name, entry in value.items():
                yield from _leaves(entry, (*place, name))
        case tuple():
            for index, entry in enumerate(value):
                yield from _leaves(entry, (*place, index))
        case _:
            yield place, value


@cache
def _roles(model: type[Table]) -> Mapping[str, PathRole | None]:
    """What is done with each field of a table, if it is a path: the same for thousands of
    routes.
    """
    return {name: _role(field) for name, field in model.model_fields.items()}


def _role(field: FieldInfo) -> PathRole | None:
    # pydantic keeps what annotates a whole field beside its type, and leaves what annotates a part
    # of it inside
    found = [*field.metadata, *_annotations(field.annotation)]
    return next((one for one in found if isinstance(one, PathRole)), None)


def _annotations(kind: Any) -> Iterator[object]:
    yield from getattr(kind, "__metadata__", ())
    for argument in get_args(kind):
        yield from _annotations(argument)
