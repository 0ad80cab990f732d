"""Values that stand in several tables, and the base of all tables. Pure."""

import re
from typing import Annotated

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


Name = Annotated[str, AfterValidator(_parse_name)]
FilePath = Annotated[str, AfterValidator(_parse_path_of_file)]
ServerName = Annotated[str, PlainValidator(parse_server_name)]
Network = Annotated[IPNetwork, PlainValidator(parse_network)]


class Table(BaseModel):
    """A table of the configuration: it never changes, and a key that it does not know is refused."""

    # ValidationError would otherwise print the input, which may be a key that was pasted in the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
