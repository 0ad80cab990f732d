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
from certs.backup.keys import BackupKeys
from certs.hierarchy.configured import directory_of, vault_of
from certs.hierarchy.document import SealingKeyRecord
from certs.sealing.own_key import OWN_KEY_FILE, OwnKeySealer
from certs.sealing.recipients import KeyUnreadable, PublicRecipient, RecipientKem, kem_of
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
    that is an AES key.

    Raises `RecipientRefused`, `ConfigError`, a `SealingError`, `SealedFileUnusable` and `OSError`.
    """
    file = loaded.file
    sealing = loaded.config.sealing
    directory = directory_of(file, sealing)
    kem = kem_of(loaded.config)
    named = [file.resolve(one) for one in loaded.config.backup.recipients]
    recipients = [_recipient(path, kem) for path in (*named, *others)]
    vault = vault_of(loaded, clock, told)
    files: dict[str, bytes] = {}
    sealing_keys: tuple[SealingKeyRecord, ...] = ()
    if vault is None:
        keys = BackupKeys.kept(directory, OwnKeySealer(directory / OWN_KEY_FILE, Disk()))
    else:
        keys = BackupKeys.kept_below(vault, directory)
        files = keys.files(vault)
        sealing_keys = vault.read().sealing_keys
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
