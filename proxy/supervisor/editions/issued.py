"""The material of issued credentials. They are not among the files that a configuration names."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from certs.hierarchy.vault import Vault
from certs.rotation.outside import outside_problems
from certs.rotation.parts import Keeping, issuance_problems, keeping_of
from certs.sealing.envelope import is_sealed
from certs.storage.served import ServedFile, served_files
from certs.storage.shelf import Shelf, ShelfDamaged
from certs.storage.store import paths_of, store_of
from config.loading.loaded import LoadedConfig
from config.loading.reading import FileContent
from config.schema import CredentialConfig
from config.tables.rotation import SEALED
from config.values.problems import Problem
from proxy.processes.material import Material
from proxy.rotation.clocks import CLOCKS


def issued_material(loaded: LoadedConfig, vault: Vault | None = None) -> tuple[Material, list[Problem]]:
    """The files of issued credentials that serve, and the problems of all.

    `vault`: see `keeping_of`. May wait for a token. Raises `ConfigError` without the PIN of the
    sealing key.
    """
    keeping = keeping_of(loaded, CLOCKS.wall, vault=vault)
    if keeping is None:
        return Material(), []
    return _read(keeping)


def _read(keeping: Keeping) -> tuple[Material, list[Problem]]:
    files, faults = served_files(keeping.store, keeping.loaded.config, keeping.homes)
    store = keeping.store
    loaded = keeping.loaded
    chains = [paths_of(name, shelf.slot, store.directory)[0] for name, _, shelf in store.of_config(loaded.config)]
    is_all_issued = all(chain in files for chain in chains)
    problems = [
        *issuance_problems(keeping),
        *outside_problems(loaded.file, loaded.config.issuer, is_all_issued=is_all_issued),
    ]
    problems += [
        keeping.loaded.file.warning(("rotation", "state"), fault, "see the log of the proxy") for fault in faults
    ]
    return as_material(files), problems


def shut_identities(loaded: LoadedConfig, material: Material) -> frozenset[str]:
    """Identities with a key that is still sealed: the material has it sealed, or not at all."""
    shut = set()
    for identity, settings in loaded.config.identity.items():
        keys = [one.key[0] for one in settings.credentials if isinstance(one, CredentialConfig)]
        found = [material.get(str(loaded.file.resolve(key))) for key in keys if isinstance(key, str)]
        if any(one is not None and is_sealed(one.content) for one in found):
            shut.add(identity)
    if (store := store_of(loaded.file, loaded.config.rotation)) is not None:
        for identity, _, shelf in store.of_config(loaded.config):
            _, key_path = paths_of(identity, shelf.slot, store.directory)
            if str(key_path) not in material and _rests_sealed(shelf):
                shut.add(identity)
    return frozenset(shut)


def _rests_sealed(shelf: Shelf) -> bool:
    try:
        version = shelf.current()
    except (ShelfDamaged, OSError):
        return False  # unsealing does not repair this
    return version is not None and version.spec.place == SEALED


def as_material(files: Mapping[Path, ServedFile]) -> Material:
    return Material({str(path): FileContent(one.mode, one.content) for path, one in files.items()})


def with_files(loaded: LoadedConfig, files: Mapping[Path, Path]) -> LoadedConfig:
    """The configuration, with the present paths of its files."""
    return replace(loaded, file=replace(loaded.file, files={**loaded.file.files, **files}))
