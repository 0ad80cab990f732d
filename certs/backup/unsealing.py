"""The secret of a backup by way of the sealing key, where that is again after a loss."""

from pathlib import Path
from tempfile import TemporaryDirectory

from certs.audit.entries import unheard
from certs.backup.container import BackupDamaged
from certs.backup.header import Header
from certs.backup.keys import FILE_NAME as BACKUP_KEYS
from certs.backup.keys import BackupKeys
from certs.backup.manifest import Manifest
from certs.files.atomic_file import write_atomic
from certs.hierarchy.file_sealer import sealing_key_ids
from certs.hierarchy.vault import FILE_NAME as HIERARCHY
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.errors import OtherKey
from certs.sealing.master import Master, Place


class NoRecoveryKey(Exception):
    """A backup of an installation without a sealing key."""

    def __str__(self) -> str:
        return "the backup was made without a sealing key, so shares do not open it; allowed: --key FILE, a private key that it is encrypted to"


def names_of_sealing_key(header: Header) -> tuple[bytes, ...]:
    """What envelopes call the sealing keys that open a backup, the newest first.

    Raises `NoRecoveryKey` and `NotSealed`.
    """
    if HIERARCHY not in header.files:
        raise NoRecoveryKey
    return tuple(sealing_key_ids(header.files[HIERARCHY]))


def secret_by_sealing_key(header: Header, manifest: Manifest, place: Place) -> bytes:
    """Open a backup with a sealing key of its time, which also tells whether the backup is ours.

    Raises a `SealingError`, `BackupDamaged`, `NotForThisKey` and `OSError`.
    """
    master = Master(place)
    wanted = names_of_sealing_key(header)
    with TemporaryDirectory() as scratch, master.at_hand() as sealing_key:
        directory = Path(scratch)
        write_atomic(directory / HIERARCHY, header.files[HIERARCHY])
        if sealing_key.key_id not in wanted:
            raise OtherKey(wanted[0], (sealing_key.key_id,))
        # as of then: a previous sealing key that has ended since opens what it could open
        vault = Vault(master, directory, lambda: manifest.made_at, unheard, tuple)
        keys = BackupKeys.opened(header.files[BACKUP_KEYS], vault.sealer(Purpose.BACKUP))
    if keys.signer != manifest.signer:
        raise BackupDamaged("was not made by the owner of this sealing key: another key has signed it")
    return header.opened([*keys.recovery.values()])
