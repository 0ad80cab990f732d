"""The shape of `[sealing]`: the key that encrypts what must be stored on disk, and the directory of
that. Pure.
"""

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from config.tables.hsm import OptionalOwnKey
from config.values.addresses import Refused
from config.values.durations import Duration
from config.values.kinds import Table, WrittenPath


class SealingConfig(Table):
    """`[sealing]`: `key` is one in a token, or the file that `plexigate hsm init --key-file` made;
    None seals nothing.

    In `directory` (None: the state directory) lie the keys below it and the secret of session
    tickets. Each of these keys seals for `rotate_after`, and opens for as long again at least.
    """

    key: OptionalOwnKey = None
    directory: WrittenPath | None = None
    rotate_after: Duration = timedelta(days=90)

    @model_validator(mode="after")
    def _seals_something(self) -> Self:
        if self.directory is not None and self.key is None:
            raise Refused("a key beside it, which seals what is there", found="no key", about=("directory", "key"))
        return self
