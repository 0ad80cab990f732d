"""The file that a sealing key has sealed before: a recovered key must open it, and a new key must
not orphan it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from certs.hierarchy.file_sealer import FileSealer
from certs.hierarchy.store import LABEL
from certs.sealing.errors import OtherKey, SealingError, Tampered
from certs.sealing.files import SealedFileUnusable, read_sealed
from certs.sealing.held_key import HeldKey
from certs.sealing.importing import ImportRefused
from certs.sealing.sealer import AeadSealer


@dataclass(frozen=True, slots=True)
class SealedBefore:
    """The file of the keys below a sealing key; it may be missing."""

    path: Path

    def require_none(self) -> None:
        """Require that there is no file, before a sealing key is made: a new key would not open it.

        Raises `ImportRefused`.
        """
        if self.path.exists():
            raise ImportRefused(
                f'"{self.path}" is sealed with an earlier sealing key, and a new key would not open it: recover the earlier key '
                "(plexigate hsm recover), or replace it if it is there (plexigate hsm rotate-sealing). If that key is lost, "
                "first move away this file and everything that was sealed below it. Without --config the file is not checked"
            )

    def require_opened(self, secret: bytearray, name: Callable[[bytearray], bytes]) -> None:
        """Require that a recovered key opens the file; its place gives its `name` in envelopes.

        Raises `ImportRefused`.
        """
        key = HeldKey(secret, name(secret))  # which opens while the secret is in this memory, and is not copied
        try:
            read_sealed(self.path, LABEL, FileSealer(AeadSealer(key)))
        except FileNotFoundError:
            return
        except SealedFileUnusable as error:
            raise ImportRefused(self._refused(error.cause)) from None

    def _refused(self, cause: SealingError | OSError) -> str:
        go_on = "to store the key anyway, move this file away, or leave out --config"
        match cause:
            case OtherKey():
                return (
                    f'"{self.path}" {cause.reason}, because the key has another name in this place: recover it in its previous place '
                    f"(--key-file or a token), under the same --key-version; {go_on}"
                )
            case Tampered():
                return (
                    f'the key of these shares does not open "{self.path}": another key sealed it, whose shares are needed, or the file '
                    f"is damaged; {go_on}"
                )
            case SealingError():
                return f'"{self.path}" {cause.reason}; {go_on}'
            case _:
                return f'"{self.path}": {cause.strerror}; allowed: a file that this process may read'
