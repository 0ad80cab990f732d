"""The shape of `[sealing]`: the key that encrypts what must rest on disk, and the directory of
that. Pure.
"""

from typing import Annotated, Self

from pydantic import PlainValidator, model_validator

from config.addresses import Refused
from config.hsm import KeySource, parse_key
from config.values import PathRole, Table, WrittenPath


def _parse_optional_key(value: object) -> KeySource | None:
    return None if value is None else parse_key(value)


class SealingConfig(Table):
    """`[sealing]`: `key` is one in a token, or the file that `plexigate hsm init --key-file` made;
    None seals nothing.

    In `directory` (None: the state directory) lie the keys below it and the secret of session
    tickets.
    """

    key: Annotated[KeySource | None, PlainValidator(_parse_optional_key), PathRole.OWN] = None
    directory: WrittenPath | None = None

    @model_validator(mode="after")
    def _seals_something(self) -> Self:
        if self.directory is not None and self.key is None:
            raise Refused("a key beside it, which seals what is there", found="no key", about=("directory", "key"))
        return self
