"""Sealed files: read and replaced as a whole, each error with the name of its file."""

from pathlib import Path
from typing import Final

from certs.files.atomic_file import write_state
from certs.sealing.errors import NotSealed, SealingError
from certs.sealing.sealer import Sealer

# Far above any keyring; keeps a device that was named by mistake out of memory.
LARGEST_FILE: Final = 16 * 1_048_576


class SealedFileUnusable(Exception):
    """A sealed file that could not be read or written; `cause` is a `SealingError` or `OSError`."""

    def __init__(self, path: Path, cause: SealingError | OSError) -> None:
        super().__init__(path, cause)
        self.path = path
        self.cause = cause

    def __str__(self) -> str:
        if isinstance(self.cause, SealingError):
            return f'"{self.path}" {self.cause.reason}'
        return f'"{self.path}": {self.cause.strerror}'


def read_sealed(path: Path, label: str, sealer: Sealer) -> bytes:
    """The content of a sealed file; raises `SealedFileUnusable`, and `FileNotFoundError` where
    there is none yet.
    """
    try:
        with path.open("rb") as file:
            sealed = file.read(LARGEST_FILE + 1)
        if len(sealed) > LARGEST_FILE:
            raise NotSealed(f"is not sealed: it has more than {LARGEST_FILE:_} bytes")
        return sealer.open(sealed, label)
    except FileNotFoundError:
        raise
    except (SealingError, OSError) as error:
        raise SealedFileUnusable(path, error) from None


def write_sealed(path: Path, plain: bytes, label: str, sealer: Sealer) -> None:
    """Seal a content and replace the file with it; raises `SealedFileUnusable`, and then the old
    file is as it was.
    """
    try:
        write_state(path, sealer.seal(plain, label))
    except (SealingError, OSError) as error:
        raise SealedFileUnusable(path, error) from None
