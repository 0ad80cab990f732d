"""The state directory: a shelf for each issued credential, and the paths of the other state."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from certs.audit.entries import Told, unheard
from certs.storage.disk import Disk
from certs.storage.shelf import Shelf, StoredVersion
from config.loading.loaded import ConfigFile
from config.schema import Config
from config.tables.rotation import IssuedCredential, RotationConfig

_CREDENTIALS: Final = "credentials"
_KEY: Final = "key.pem"


def root_directory(state: Path, issuer: str) -> Path:
    """Where the root of an internal issuer is; its other files are beside that."""
    return state / "issuers" / issuer / "root"


class Store:
    """Keys and chains below one directory."""

    def __init__(self, directory: Path, disk: Disk | None = None, told: Told = unheard) -> None:
        """Make no directory before the first write; `told` gets every operation on keys."""
        self.directory: Final = directory
        self.disk: Final = disk or Disk()
        self.told: Final = told

    def shelf(self, identity: str, slot: str) -> Shelf:
        """The shelf of a credential; `slot` is `IssuedCredential.slot`."""
        return Shelf(self.directory / _CREDENTIALS / identity / slot, identity, slot, self.disk, self.told)

    def shelves(self) -> list[Shelf]:
        """Every shelf that is there, also those that no configuration names any more."""
        places = sorted((self.directory / _CREDENTIALS).glob("*/*/"))
        return [self.shelf(place.parent.name, place.name) for place in places]

    def slots(self, identity: str) -> list[str]:
        """The slots of an identity that have a shelf, also those that it had before."""
        return sorted(place.name for place in (self.directory / _CREDENTIALS / identity).glob("*/"))

    def of_config(self, config: Config) -> list[tuple[str, IssuedCredential, Shelf]]:
        """The issued credentials of a configuration: identity, what is asked for, shelf."""
        return [
            (name, one, self.shelf(name, one.slot))
            for name, identity in config.identity.items()
            for one in identity.issued
        ]


def store_of(
    file: ConfigFile, rotation: RotationConfig, disk: Disk | None = None, told: Told = unheard
) -> Store | None:
    """The store of a configuration, None where it names no directory for it; see `Store`."""
    return None if rotation.state is None else Store(file.resolve(rotation.state), disk, told)


def slots_among(paths: Iterable[Path], identity: str, state: Path) -> list[str]:
    """The slots of an identity whose key is among the paths that `paths_of` gives."""
    places = (path.parent.parent for path in paths if path.name == _KEY)
    return sorted(place.name for place in places if place.parent == state / _CREDENTIALS / identity)


def paths_of(identity: str, slot: str, state: Path) -> tuple[Path, Path]:
    """Under which names the chain and the key that serve are handed to workers: no files, as the
    versions change.
    """
    place = state / _CREDENTIALS / identity / slot / "current"
    return place / "chain.pem", place / _KEY


__all__ = ["Store", "StoredVersion", "paths_of", "root_directory", "slots_among", "store_of"]
