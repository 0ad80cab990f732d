"""Files sealed again by the active keys, so that retired ones are needed no more."""

import os
from pathlib import Path

from certs.hierarchy.sealed_files import SealedFile
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.errors import OtherKey
from certs.sealing.files import SealedFileUnusable, read_sealed, write_sealed


class NotOurs(Exception):
    """A file of another user, who could not read it any more if we wrote it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f'"{self.path}" belongs to another user; allowed: its owner, who seals it again'


def reseal(vault: Vault, file: SealedFile) -> bool:
    """Whether a retired key had sealed it, as the active one has now.

    No other process may write it meanwhile.

    What none of these keys opens is not touched. Raises `SealedFileUnusable`, `SealingError`,
    `NotOurs` and `OSError`; it is then as it was.
    """
    purpose = next((one for one in Purpose if file.label.startswith(one.label(""))), None)
    if purpose is None or not Vault.has_keys_for(purpose):
        return False
    sealer = vault.sealer(purpose)
    path = file.path.resolve()
    if file.key_id == sealer.key_id:
        return False
    try:
        content = read_sealed(path, file.label, sealer)
    except SealedFileUnusable as error:
        if isinstance(error.cause, OtherKey):
            return False
        raise
    if path.stat().st_uid != os.geteuid():
        raise NotOurs(path)
    write_sealed(path, content, file.label, sealer)
    return True
