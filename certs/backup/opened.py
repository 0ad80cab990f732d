"""A backup that is read: its manifest, and what is behind it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from certs.backup.container import BackupReader
from certs.backup.header import Header
from certs.backup.keys import require_signature
from certs.backup.manifest import Manifest


@dataclass(frozen=True, slots=True)
class OpenBackup:
    """A backup whose manifest was signed by the signer that it names, and whose header is of it."""

    reader: BackupReader
    manifest: Manifest
    header: Header

    @classmethod
    @contextmanager
    def at(cls, path: Path) -> Iterator[Self]:
        """Open one; little is read of it. Raises `BackupDamaged` and `OSError`."""
        with path.open("rb") as file:
            reader = BackupReader(file)
            manifest = Manifest.parse(reader.manifest)
            require_signature(reader.manifest, reader.signature, manifest.signer)
            reader.check_header(manifest.written)
            yield cls(reader, manifest, Header.parse(reader.header))

    def verify(self, told: Callable[[int], None]) -> None:
        """Read all of it, and compare that with the manifest. Needs no secret.

        Raises `BackupDamaged` and `OSError`.
        """
        self.reader.check(self.manifest.written, told)
