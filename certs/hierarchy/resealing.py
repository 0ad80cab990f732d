"""Files sealed again by the active keys, so that retired ones are needed no more."""

import os
from pathlib import Path
from typing import Protocol

from certs.files.atomic_file import replace_state
from certs.hierarchy.purposes import PURPOSES
from certs.hierarchy.sealed_files import SealedFile
from certs.sealing.envelope import Purpose
from certs.sealing.errors import OtherKey, SealingError
from certs.sealing.files import SealedFileUnusable
from certs.sealing.sealer import Sealer


class Sealing(Protocol):
    """A `Vault`, as far as it seals."""

    def sealer(self, purpose: Purpose) -> Sealer: ...


class NotOurs(Exception):
    """A file of another user, who could not read it any more if we wrote it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f'"{self.path}" belongs to another user; allowed: its owner, who seals it again'


def reseal(vault: Sealing, file: SealedFile) -> bool:
    """Whether a retired key had sealed it, as the active one has now.

    No other process may write it meanwhile. What this process writes meanwhile stays.

    What none of these keys opens is not touched. Raises `SealedFileUnusable`, `SealingError`,
    `NotOurs` and `OSError`; it is then as it was.
    """
    purpose = next((one for one in Purpose if file.label.startswith(one.label(""))), None)
    if purpose is None or purpose not in PURPOSES:
        return False
    sealer = vault.sealer(purpose)
    path = file.path.resolve()
    if file.key_id == sealer.key_id:
        return False
    before = path.read_bytes()
    try:
        content = sealer.open(before, file.label)
    except OtherKey:
        return False
    except SealingError as error:
        raise SealedFileUnusable(path, error) from None
    if path.stat().st_uid != os.geteuid():
        raise NotOurs(path)
    return replace_state(path, before, sealer.seal(content, file.label))
