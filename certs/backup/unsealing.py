"""The secret of a backup by way of the sealing key, where that is again after a loss."""

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from certs.audit.entries import unheard
from certs.backup.container import BackupDamaged
from certs.backup.header import Header
from certs.backup.keys import FILE_NAME as BACKUP_KEYS
from certs.backup.keys import BackupKeys
from certs.backup.opened import OpenBackup
from certs.files.atomic_file import write_atomic
from certs.hierarchy.file_sealer import sealing_key_ids
from certs.hierarchy.vault import FILE_NAME as HIERARCHY
from certs.hierarchy.vault import Vault
from certs.sealing.envelope import Purpose
from certs.sealing.errors import NotSealed, OtherKey
from certs.sealing.master import Master, Place


class NoRecoveryKey(Exception):
    """A backup that no sealing key opens: there was none, or it is a key pair."""

    def __str__(self) -> str:
        return "the backup was made so that no sealing key opens it; allowed: --key FILE, a private key that it is encrypted to"


def sealing_keys_of(header: Header) -> tuple[bytes, ...]:
    """What envelopes call the sealing keys that open a backup, the newest first; none where a
    private key alone does. Raises `BackupDamaged`.
    """
    try:
        return sealing_key_ids(header.files[HIERARCHY]) if HIERARCHY in header.files else ()
    except NotSealed:
        raise BackupDamaged("has a header that Plexigate did not write") from None


def secret_by_sealing_key(backup: OpenBackup, place: Place) -> bytes:
    """Open a backup with a sealing key of its time, which also tells whether the backup is ours.

    Raises `NoRecoveryKey`, a `SealingError`, `BackupDamaged`, `NotForThisKey` and `OSError`.
    """
    header = backup.header
    manifest = backup.manifest
    if not sealing_keys_of(header):
        raise NoRecoveryKey
    # as of then: a previous sealing key that has ended since opens what it could open
    keys = keys_by_sealing_key(header, Master(place), manifest.made_at)
    if keys.signer != manifest.signer:
        raise BackupDamaged("was not made by the owner of this sealing key: another key has signed it")
    return header.opened([*keys.recovery.values()])


def keys_by_sealing_key(header: Header, master: Master, then: datetime, scratch: Path | None = None) -> BackupKeys:
    """The keys in the files of a header, as a sealing key opens them that may do so `then`; within
    `scratch`, files may be written for a moment (None: where temporary files are).

    Raises a `SealingError`, `BackupDamaged` and `OSError`.
    """
    if header.files.keys() != {HIERARCHY, BACKUP_KEYS}:
        raise BackupDamaged("has a header that Plexigate did not write")
    wanted = sealing_keys_of(header)
    with TemporaryDirectory(dir=scratch) as made, master.at_hand() as sealing_key:
        directory = Path(made)
        write_atomic(directory / HIERARCHY, header.files[HIERARCHY])
        if sealing_key.key_id not in wanted:
            raise OtherKey(wanted[0], (sealing_key.key_id,))
        vault = Vault(master, directory, lambda: then, unheard, tuple)
        return BackupKeys.opened(header.files[BACKUP_KEYS], vault.sealer(Purpose.BACKUP))
