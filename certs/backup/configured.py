"""What a configuration says about its backups: whose keys open them, and what is in them."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.audit.entries import Told
from certs.backup.contents import contents_of
from certs.backup.creating import Creation
from certs.backup.keys import FILE_NAME as BACKUP_KEYS
from certs.backup.keys import BackupKeys
from certs.backup.recipients import KeyUnreadable, PublicRecipient, RecipientKem
from certs.hierarchy.configured import directory_of, vault_of
from certs.hierarchy.vault import FILE_NAME as HIERARCHY
from certs.sealing.envelope import Purpose
from certs.sealing.own_key import OWN_KEY_FILE, OwnKeySealer
from certs.sealing.sealer import SucceedingSealer
from certs.storage.disk import Disk
from config.loading.loaded import LoadedConfig
from config.loading.reading import read_regular
from config.tables.listener import SecurityLevel

_LARGEST_KEY: Final = 65_536


class RecipientRefused(Exception):
    """A backup that is not made, because of who could open it; the text says why."""


def creation_of(
    loaded: LoadedConfig, others: Sequence[Path], clock: Callable[[], datetime], told: Told, *, made_by: str, node: str
) -> Creation:
    """A backup that the sealing key opens, if there is one, and the keys of the configuration and
    of `others`.

    Raises `RecipientRefused`, `ConfigError`, a `SealingError`, `SealedFileUnusable` and `OSError`.
    """
    file = loaded.file
    sealing = loaded.config.sealing
    directory = directory_of(file, sealing)
    kem = _kem(loaded)
    named = [file.resolve(one) for one in loaded.config.backup.recipients]
    recipients = [_recipient(path, kem) for path in (*named, *others)]
    vault = vault_of(loaded, clock, told)
    own = OwnKeySealer(directory / OWN_KEY_FILE, Disk())
    if vault is None and not recipients:
        raise RecipientRefused(
            "nobody could open the backup, as there is no sealing key; allowed: --to FILE or backup.recipients, "
            "with a public key that plexigate backup key made; or [sealing] and plexigate hsm init"
        )
    if vault is None:
        keys = BackupKeys.kept(directory, own)
        files: dict[str, bytes] = {}
    else:
        sealer = vault.sealer(Purpose.BACKUP)
        keys = BackupKeys.kept(directory, SucceedingSealer(sealer, own))
        recipients.insert(0, keys.recovery[kem].public)
        # in this order: the keys below the sealing key are those that have sealed the others
        files = {BACKUP_KEYS: keys.sealed(sealer)}
        files[HIERARCHY] = (directory / HIERARCHY).read_bytes()
    return Creation(contents_of(loaded), keys, recipients, files, made_by, node, clock())


def _kem(loaded: LoadedConfig) -> RecipientKem:
    is_quantum_safe = any(one.level is SecurityLevel.QUANTUM_SAFE for one in loaded.config.listener.values())
    return RecipientKem.MLKEM1024_P384 if is_quantum_safe else RecipientKem.MLKEM768_X25519


def _recipient(path: Path, wanted: RecipientKem) -> PublicRecipient:
    try:
        found = PublicRecipient.parse(read_regular(path, _LARGEST_KEY).content)
    except KeyUnreadable as error:
        raise RecipientRefused(f"{path}: {error}") from None
    except OSError as error:
        raise RecipientRefused(f"{path}: {error.strerror or error}; allowed: a file with a public key") from None
    if wanted is RecipientKem.MLKEM1024_P384 and found.kem is not wanted:
        raise RecipientRefused(
            f"{path}: a key of {found.kem}, while a listener is quantum-safe; allowed: {wanted} (plexigate backup key --quantum-safe)"
        )
    return found
