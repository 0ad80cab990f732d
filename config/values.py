"""Values that stand in several tables, and the base of all tables. Pure."""

import re
from enum import Enum, auto
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator

from config.addresses import IPNetwork, Refused, parse_network, parse_server_name
from config.problems import is_key_material

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _parse_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise Refused("a name of at most 64 letters, digits, dots, hyphens and underscores (it is printed in logs)")
    return value


def _parse_path_of_file(value: str) -> str:
    if is_key_material(value):
        raise Refused("the path of a file, not its content", found="the content of a file (not shown)")
    if not value or any(character < " " for character in value):
        raise Refused("the path of a file, relative to this configuration")
    return value


class PathRole(Enum):
    """What the process does with a path; part of a field's type, so that `config.files` finds every key that is a path."""

    READ = auto()
    """A file that is read at the start and at each reload."""
    DIRECTORY = auto()
    """A directory that a library looks into."""
    WRITTEN = auto()
    """A file or socket that the process makes: what happens to it is no reason to reload."""


Name = Annotated[str, AfterValidator(_parse_name)]
FilePath = Annotated[str, AfterValidator(_parse_path_of_file), PathRole.READ]
DirectoryPath = Annotated[str, AfterValidator(_parse_path_of_file), PathRole.DIRECTORY]
WrittenPath = Annotated[str, AfterValidator(_parse_path_of_file), PathRole.WRITTEN]
ServerName = Annotated[str, PlainValidator(parse_server_name)]
Network = Annotated[IPNetwork, PlainValidator(parse_network)]


TAG_PREFIX = "\0"
"""Begins the tags by which pydantic tells kinds of one table apart: no key of a file looks so, and no message shows them."""


class Table(BaseModel):
    """A table of the configuration: it never changes, and a key that it does not know is refused.

    `identified_by` are the keys that tell the entries of a list of such tables apart, whatever their order (none: an entry is
    what it says, and nothing else).
    """

    identified_by: ClassVar[tuple[str, ...]] = ()

    # ValidationError would otherwise print the input, which may be a key that was pasted in the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
