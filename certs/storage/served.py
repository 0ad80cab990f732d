"""The served credentials, as workers get them: for each its chain, and its key or the address of
its key.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certs.keys.home import HomeFailed, Homes
from certs.storage.lock import StateUnusable
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
        raise HomeFailed(spec.place, "the configuration has no such place (any more)")
    name = shelf.key_name(version.number, spec)
    key = homes[spec.place].for_workers(name, version.kept_path.read_bytes())
    chain_path, key_path = paths_of(shelf.identity, shelf.slot, state)
    return {
        chain_path: ServedFile(CHAIN_MODE, version.chain_path.read_bytes()),
        key_path: ServedFile(KEY_MODE, key),
    }


def served_files(store: Store, config: Config, homes: Homes) -> tuple[dict[Path, ServedFile], list[str]]:
    """All files of all that serves, and why some are missing. May take as long as a token takes.

    Also of slots that an identity had before: they stand in for those that it has now until these
    were issued.
    """
    files: dict[Path, ServedFile] = {}
    faults: list[str] = []
    wanted: dict[str, set[str]] = {}
    for identity, _, shelf in store.of_config(config):
        wanted.setdefault(identity, set()).add(shelf.slot)
    for identity, slots in wanted.items():
        for slot in store.slots(identity):
            try:
                files.update(_current(store, homes, identity, slot))
            except (HomeFailed, ShelfDamaged, OSError) as error:
                if slot in slots:
                    fault = StateUnusable(store.directory, error) if isinstance(error, PermissionError) else error
                    faults.append(f"the {slot} credential of {identity}: {fault}")
    return files, faults


def _current(store: Store, homes: Homes, identity: str, slot: str) -> dict[Path, ServedFile]:
    shelf = store.shelf(identity, slot)
    version = shelf.current()
    return {} if version is None else served_version(shelf, version, homes, store.directory)
