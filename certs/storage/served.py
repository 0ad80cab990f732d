"""What serves, as workers get it: for each issued credential its chain, and what OpenSSL takes as its key."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certs.keys.home import HomeFailed, Homes
from certs.storage.shelf import Shelf, ShelfDamaged, StoredVersion
from certs.storage.store import Store, paths_of
from config.schema import Config

KEY_MODE: Final = 0o600
CHAIN_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class ServedFile:
    """The content that workers find under a path; `mode` are its permission bits."""

    mode: int
    content: bytes = field(repr=False)


def served_version(shelf: Shelf, version: StoredVersion, homes: Homes, state: Path) -> dict[Path, ServedFile]:
    """The two files of one version. Raises `HomeFailed` or `OSError`."""
    spec = version.spec
    if spec.place not in homes:
        raise HomeFailed(spec.place, "there is no such place in the configuration (any more)")
    name = shelf.key_name(version.number, spec)
    key = homes[spec.place].openssl_pem(name, version.kept_path.read_bytes())
    chain_path, key_path = paths_of(shelf.identity, shelf.slot, state)
    return {
        chain_path: ServedFile(CHAIN_MODE, version.chain_path.read_bytes()),
        key_path: ServedFile(KEY_MODE, key),
    }


def served_files(store: Store, config: Config, homes: Homes) -> tuple[dict[Path, ServedFile], list[str]]:
    """All files of all that serves, and why some are missing. May take as long as a token takes."""
    files: dict[Path, ServedFile] = {}
    faults: list[str] = []
    for identity, _, _, shelf in store.of_config(config):
        try:
            version = shelf.current()
            if version is not None:
                files.update(served_version(shelf, version, homes, store.directory))
        except (HomeFailed, ShelfDamaged, OSError) as error:
            faults.append(f"the {shelf.slot} credential of {identity}: {error}")
    return files, faults
