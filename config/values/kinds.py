"""Values that stand in several tables, and the base of all tables. Pure."""

import re
from enum import Enum, auto
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator

from config.values.addresses import (
    Bind,
    IPNetwork,
    Refused,
    parse_bind,
    parse_network,
    parse_server_name,
    parse_web_address,
)
from config.values.pkcs11_uri import is_pkcs11_uri
from config.values.problems import is_key_material


def matching(pattern: str, allowed: str) -> AfterValidator:
    """For text that a pattern has to match as a whole; `allowed` is for the message."""
    compiled = re.compile(pattern)

    def parse(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Refused(allowed)
        return value

    return AfterValidator(parse)


def parse_path_of_file(value: str) -> str:
    """Read the path of a file. Raises `Refused`."""
    if is_key_material(value):
        raise Refused("the path of a file, not its content", found="the content of a file (not shown)")
    if is_pkcs11_uri(value):
        raise Refused("the path of a file: only keys of identities can be in a token")
    if not value or any(character < " " for character in value):
        raise Refused("the path of a file, relative to this configuration")
    return value


class PathRole(Enum):
    """What the process does with a path; part of a field's type, so that `config.loading.files`
    finds every key that is a path.
    """

    READ = auto()
    """A file that is read at the start and at each reload."""
    DIRECTORY = auto()
    """A directory that a library looks into."""
    OWN = auto()
    """A file that only the parent reads: no worker gets its content, and a change of it is
    not a reason to reload.
    """
    WRITTEN = auto()
    """A file or socket that the process makes: what happens to it is not a reason to reload."""
    LIBRARY = auto()
    """A shared library that a process loads once: it is not read as a file, and a new one needs a
    restart.
    """
    CREDENTIAL = auto()
    """The name of a systemd credential, read as a file of the directory that systemd made for this
    service.
    """


NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
Name = Annotated[
    str,
    matching(
        NAME,
        "a name of at most 64 letters, digits, dots, hyphens and underscores (it is printed in logs)",
    ),
]
WebAddress = Annotated[str, AfterValidator(parse_web_address)]
FilePath = Annotated[str, AfterValidator(parse_path_of_file), PathRole.READ]
DirectoryPath = Annotated[str, AfterValidator(parse_path_of_file), PathRole.DIRECTORY]
OwnFilePath = Annotated[str, AfterValidator(parse_path_of_file), PathRole.OWN]
WrittenPath = Annotated[str, AfterValidator(parse_path_of_file), PathRole.WRITTEN]
LibraryPath = Annotated[str, AfterValidator(parse_path_of_file), PathRole.LIBRARY]
CredentialName = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}",  # systemd.exec(5): a file name; without what could lead elsewhere
        "the name of a credential that systemd passes (LoadCredential=), without directory",
    ),
    PathRole.CREDENTIAL,
]
ServerName = Annotated[str, PlainValidator(parse_server_name)]
Network = Annotated[IPNetwork, PlainValidator(parse_network)]
BindAddress = Annotated[Bind, PlainValidator(parse_bind)]


def _listed(value: object) -> object:
    return list(value) if isinstance(value, list | tuple) else [value]


ONE_OR_A_LIST = BeforeValidator(_listed)
"""For a tuple of which one may stand alone; what it is, is judged behind this."""


def one_or_a_list(example: str) -> BeforeValidator:
    """For a tuple of `BindAddress`, of which one may stand alone; `example` is for the message."""

    def listed(value: object) -> object:
        if not isinstance(value, str | Bind | list | tuple):
            raise Refused(f'an address and a port such as "{example}", or a list of such')
        return [value] if isinstance(value, str | Bind) else value

    return BeforeValidator(listed)


TAG_PREFIX = "\0"
"""Begins the tags by which pydantic tells kinds of one table apart: no key of a file looks so, and
no message shows them.
"""


class Table(BaseModel):
    """A table of the configuration: it never changes, and a key that it does not know is refused.

    `identified_by` are the keys that tell the entries of a list of such tables apart, in any order
    (none: an entry is what it says, and nothing else). `lists_of_one` are keys of lists that may be
    written without brackets when they have one entry: their location is then that of the key.
    """

    identified_by: ClassVar[tuple[str, ...]] = ()
    lists_of_one: ClassVar[tuple[str, ...]] = ()

    @property
    def entry_name(self) -> str | None:
        """What an entry of a list is called; None for the texts of `identified_by`, joined."""
        return None

    @classmethod
    def key_of(cls, name: str) -> str:
        """What the file calls a field."""
        alias = cls.model_fields[name].validation_alias
        return alias if isinstance(alias, str) else name

    # ValidationError would otherwise print the input, which may be a key that was pasted in the
    # wrong place.
    #
    # What validates is made when a table is first read: of most tables, within that of `Config`.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)
