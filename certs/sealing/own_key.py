"""The sealing key for configurations without one: a file of the state directory."""

import threading
from pathlib import Path
from typing import Final

from certs.sealing.errors import KeyUnavailable
from certs.sealing.key_file import KeyFileUnusable, create_key, load_key
from certs.sealing.sealer import AeadSealer, Sealer
from certs.storage.disk import NEW, Disk

OWN_KEY_FILE: Final = "sealing.key"

# Two threads at once must not each make one: what the first has sealed would never open again.
_making: Final = threading.Lock()


class OwnKeySealer:
    """A `Sealer`."""

    def __init__(self, path: Path, disk: Disk) -> None:
        """Read and write nothing yet; the first seal or open does."""
        self._path = path
        self._disk = disk

    @property
    def key_id(self) -> bytes:
        """The id of the key, which is made if there is none yet; raises `KeyUnavailable`."""
        return self._key(make=True).key_id

    def seal(self, plain: bytes, label: str) -> bytes:
        return self._key(make=True).seal(plain, label)

    def open(self, sealed: bytes, label: str) -> bytes:
        sealer = self._key(make=False)
        return sealer.open(sealed, label)

    def _key(self, *, make: bool) -> Sealer:
        try:
            with _making:
                if make and not self._path.exists():
                    self._make()
            return AeadSealer(load_key(self._path))
        except (KeyFileUnusable, OSError) as error:
            raise KeyUnavailable(str(error)) from None

    def _make(self) -> None:
        """Under another name first: half a key must never be taken for a whole one."""
        beside = self._path.with_name(f"{self._path.name}{NEW}")
        self._disk.make_directory(self._path.parent)
        self._disk.remove(beside)
        create_key(beside)
        self._disk.rename(beside, self._path)
