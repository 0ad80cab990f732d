"""The files that a configuration names: to read them before privileges are dropped, to watch them.

Found by the type of each key (`FilePath` and similar types), so a key that is added to the schema
is found without a word here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic.fields import FieldInfo

from config.loading.loaded import LoadedConfig
from config.values.kinds import PathRole, Table
from config.values.problems import Location


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
    return places_of(loaded, PathRole.READ, PathRole.DIRECTORY, PathRole.CREDENTIAL)


def named_files(loaded: LoadedConfig) -> tuple[NamedFile, ...]:
    """Every file that this configuration reads, what is the parent's own included."""
    return places_of(loaded, PathRole.READ, PathRole.OWN, PathRole.CREDENTIAL)


def places_of(loaded: LoadedConfig, *roles: PathRole) -> tuple[NamedFile, ...]:
    """What has one of these roles; no credential where systemd has passed none."""
    file = loaded.file
    return tuple(
        NamedFile(file.key(*location), place, role is PathRole.DIRECTORY)
        for location, path, role in _paths(loaded.config, ())
        if role in roles
        and (place := file.resolve_credential(path) if role is PathRole.CREDENTIAL else file.resolve(path)) is not None
    )


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
    """What is done with each field of a table that is a path, or (None) has tables with paths."""
    return {
        name: role
        for name, field in model.model_fields.items()
        if (role := _role(field)) is not None or any(map(_has_paths, _parts(field.annotation)))
    }


def _has_paths(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table) and bool(_roles(kind))


def _role(field: FieldInfo) -> PathRole | None:
    # pydantic keeps what annotates a whole field beside its type, and leaves what annotates a part
    # of it inside
    found = [*field.metadata, *_parts(field.annotation)]
    return next((one for one in found if isinstance(one, PathRole)), None)


def _parts(kind: Any) -> Iterator[object]:
    """All types that a type is made of, and what annotates them."""
    yield kind
    yield from getattr(kind, "__metadata__", ())
    for argument in get_args(kind):
        yield from _parts(argument)
