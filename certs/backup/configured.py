"""What a configuration says about its backups: whose keys open them, and what is in them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from certs.audit.entries import Told
from certs.backup.contents import contents_of
from certs.backup.creating import Creation
from certs.backup.index import LeftOut
from certs.backup.keys import FILE_NAME as BACKUP_KEYS
from certs.backup.keys import BackupKeys
from certs.hierarchy.configured import directory_of, vault_of
from certs.hierarchy.document import SealingKeyRecord
from certs.hierarchy.file_sealer import is_quantum_safe
from certs.hierarchy.vault import FILE_NAME as HIERARCHY
from certs.sealing.envelope import Purpose
from certs.sealing.own_key import OWN_KEY_FILE, OwnKeySealer
from certs.sealing.recipients import KeyUnreadable, PublicRecipient, RecipientKem, kem_of
from certs.sealing.sealer import SucceedingSealer
from certs.storage.disk import Disk
from config.loading.loaded import LoadedConfig
from config.loading.reading import read_regular

_LARGEST_KEY: Final = 65_536
_REMEDIES: Final = {
    True: "its recovery shares bring it back: plexigate hsm recover",
    False: "it has no recovery shares: if it is lost, no sealed file opens",
    None: "its recovery shares bring it back, if hsm init made some: plexigate hsm recover",
}


class RecipientRefused(Exception):
    """A backup that is not made, because of who could open it; the text says why."""


def creation_of(
    loaded: LoadedConfig, others: Sequence[Path], clock: Callable[[], datetime], told: Told, *, made_by: str, node: str
) -> Creation:
    """A backup that the keys of the configuration and of `others` open, and the sealing key, if
    that is an AES key: what a key pair opens, a quantum computer opens too.

    Raises `RecipientRefused`, `ConfigError`, a `SealingError`, `SealedFileUnusable` and `OSError`.
    """
    file = loaded.file
    sealing = loaded.config.sealing
    directory = directory_of(file, sealing)
    kem = kem_of(loaded.config)
    named = [file.resolve(one) for one in loaded.config.backup.recipients]
    recipients = [_recipient(path, kem) for path in (*named, *others)]
    vault = vault_of(loaded, clock, told)
    own = OwnKeySealer(directory / OWN_KEY_FILE, Disk())
    files: dict[str, bytes] = {}
    sealing_keys: tuple[SealingKeyRecord, ...] = ()
    if vault is None:
        keys = BackupKeys.kept(directory, own)
    else:
        sealer = vault.sealer(Purpose.BACKUP)
        keys = BackupKeys.kept(directory, SucceedingSealer(sealer, own))
        # in this order: the keys below the sealing key are those that have sealed the others
        sealed = keys.sealed(sealer)
        hierarchy = (directory / HIERARCHY).read_bytes()
        sealing_keys = vault.read().sealing_keys
        if is_quantum_safe(hierarchy):
            files = {BACKUP_KEYS: sealed, HIERARCHY: hierarchy}
    if not recipients:
        _require_shares(sealing_keys, is_opened=bool(files))
    if files:
        recipients.insert(0, keys.recovery[kem].public)
    contents = contents_of(loaded)
    contents = replace(contents, left_out=(*map(_left_out, sealing_keys), *contents.left_out))
    return Creation(contents, keys, recipients, files, made_by, node, clock())


def _require_shares(sealing_keys: Sequence[SealingKeyRecord], *, is_opened: bool) -> None:
    """Raises `RecipientRefused` where no sealing key opens the backup after a loss."""
    if not sealing_keys:
        why = "there is no sealing key"
    elif not is_opened:
        why = "the sealing key is a key pair, which opens none"
    elif all(one.has_shares is False for one in sealing_keys):
        why = "the sealing key has no recovery shares"
    else:
        return
    raise RecipientRefused(
        f"nobody could open the backup after a loss, as {why}; allowed: --to FILE or backup.recipients, with a public key "
        "that plexigate backup key made; or a sealing key with shares (plexigate hsm init, hsm rotate-sealing)"
    )


def _left_out(sealing_key: SealingKeyRecord) -> LeftOut:
    return LeftOut(f"the sealing key {sealing_key.name}", _REMEDIES[sealing_key.has_shares])


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
