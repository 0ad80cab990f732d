"""A secret in a store of others, which the recovery shares of a sealing key open as they open a
backup.

It is encrypted to the recovery key (HPKE, RFC 9180), for one name alone. Beside it are the sealed
files in which the sealing key finds the recovery key. Everybody can encrypt to a public key, so all
of it is signed, as a backup is: who writes into the store cannot put another secret in its place.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from certs.backup.container import BackupDamaged
from certs.backup.header import Header, NotForThisKey
from certs.backup.index import UNREADABLE
from certs.backup.keys import FILE_NAME, BackupKeys, require_signature
from certs.backup.unsealing import keys_by_sealing_key, sealing_keys_of
from certs.hierarchy.vault import Vault
from certs.sealing.errors import SealingError
from certs.sealing.master import Master, Place
from certs.sealing.recipients import RecipientKem
from config.loading.watching import Signature

_AT_ANY_TIME: Final = datetime.fromtimestamp(0, UTC)
"""A sealing key that was replaced since opens what it could open."""


class NotRecovered(Exception):
    """The sealing key of this machine opens none of some secrets; the text says of each why."""


@dataclass(slots=True)
class RecoverySeal:
    """Seals for the recovery shares of this machine, and opens by its sealing key: that may be the
    one of a lost machine, which its shares have brought back. The methods wait for its token.
    """

    directory: Path
    """Of `[sealing]`."""
    vault: Callable[[], Vault]
    place: Callable[[], Place]
    """Of the sealing key. It raises `ConfigError` without the PIN of its token."""
    kem: RecipientKem
    _settled: tuple[str, bytes, bytes | None, Signature] | None = field(default=None, init=False, repr=False)
    """What needed no renewal when it was last looked at, with the files that decide that."""

    def renewed(self, name: str, secret: bytes, before: bytes | None) -> bytes | None:
        """A secret of 32 bytes, sealed for a name. None if that is so `before` already, or if no
        shares would bring the sealing key back.

        Raises a `SealingError`, `SealedFileUnusable` and `OSError`.
        """
        vault = self.vault()
        asked = name, secret, before, Signature.of((vault.path, self.directory / FILE_NAME))
        if asked == self._settled:
            return None
        value = self._renewed(vault, name, secret, before)
        self._settled = asked if value is None else None
        return value

    def _renewed(self, vault: Vault, name: str, secret: bytes, before: bytes | None) -> bytes | None:
        known = vault.known()
        if known is None or all(one.has_shares is False for one in known.sealing_keys):
            return None
        keys = BackupKeys.kept_below(vault, self.directory)
        if before is not None and vault.opening_ids == _opening(before, name, keys, secret):
            return None
        if not (files := keys.files(vault)):
            return None
        header = Header.made(secret, [keys.recovery[self.kem].public], files, _info(name)).encode()
        return json.dumps({"header": header.decode(), "signature": keys.sign(_info(name) + header).hex()}).encode()

    def opened(self, values: Mapping[str, bytes]) -> tuple[str, bytes]:
        """The first of some values, by their names, that the sealing key opens: its name, and the
        secret. Raises `NotRecovered`, `ConfigError` and `OSError`.
        """
        master = Master(self.place())
        reasons = []
        try:
            with master.at_hand():
                for name, value in values.items():
                    try:
                        return name, self._opened(master, name, value)
                    except BackupDamaged as error:
                        reasons.append(f"{name} {error.found}")
                    except SealingError as error:
                        reasons.append(f"{name} {error.reason}")
        except SealingError as error:
            reasons.append(f"the sealing key cannot be used: {error.reason}")
        raise NotRecovered("; ".join(reasons))

    def _opened(self, master: Master, name: str, value: bytes) -> bytes:
        """Raises `BackupDamaged`, a `SealingError` and `OSError`."""
        keys = keys_by_sealing_key(Header.parse(_parts(value)[0]), master, _AT_ANY_TIME, self.directory)
        return _verified(value, name, keys).opened([*keys.recovery.values()], _info(name))


def _opening(value: bytes, name: str, keys: BackupKeys, secret: bytes) -> tuple[bytes, ...]:
    """The sealing keys that open a value; none if that is not ours, or has another secret."""
    try:
        header = _verified(value, name, keys)
        return sealing_keys_of(header) if header.opened([*keys.recovery.values()], _info(name)) == secret else ()
    except (BackupDamaged, NotForThisKey):
        return ()


def _verified(value: bytes, name: str, keys: BackupKeys) -> Header:
    """The header of a value that these keys have signed for a name. Raises `BackupDamaged`."""
    encoded, signature = _parts(value)
    require_signature(_info(name) + encoded, signature, keys.signer)
    return Header.parse(encoded)


def _parts(value: bytes) -> tuple[bytes, bytes]:
    """Header and signature. Raises `BackupDamaged`."""
    try:
        found = json.loads(value)
        return found["header"].encode(), bytes.fromhex(found["signature"])
    except UNREADABLE:
        raise BackupDamaged("was not written by Plexigate") from None


def _info(name: str) -> bytes:
    return f"plexigate recoverable {name}\n".encode()
