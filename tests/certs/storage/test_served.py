"""What workers are given of what serves."""

from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.storage.served import CHAIN_MODE, KEY_MODE, served_files, served_version
from certs.storage.store import paths_of
from tests.certs.authority import NOW
from tests.rotations import Rotations, configuration


def files(scene: Rotations) -> tuple[set[str], list[str]]:
    """The slots whose files are served, and what is wrong."""
    parts = scene.parts
    found, faults = served_files(parts.store, parts.loaded.config, parts.homes)
    assert all(path.name in {"chain.pem", "key.pem"} for path in found)
    return {path.parent.parent.name for path in found}, faults


def test_nothing_serves_at_first(tmp_path: Path) -> None:
    assert files(Rotations(tmp_path)) == (set(), [])


def test_a_version_is_its_chain_and_its_key(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration("ec-p256@sealed"))
    version, parts = scene.serve(), scene.parts
    found = served_version(scene.shelf(), version, parts.homes, parts.store.directory)
    chain, key = paths_of("chat", "ec", parts.store.directory)
    assert found.keys() == {chain, key}
    assert (found[chain].mode, found[key].mode) == (CHAIN_MODE, KEY_MODE)
    assert found[chain].content == version.chain_path.read_bytes()
    load_pem_private_key(found[key].content, None)
    assert "PRIVATE KEY" not in repr(found[key])


def test_the_slots_of_before_are_handed_over_as_well(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    scene.follow(configuration("rsa-2048@file"))
    assert files(scene) == ({"ec"}, [])


def test_what_cannot_be_read_is_told_for_what_is_wanted_alone(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    version = scene.serve()
    version.kept_path.unlink()
    served, (fault,) = files(scene)
    assert served == set()
    assert fault.startswith("the ec credential of chat: ")
    scene.follow(configuration("rsa-2048@file"))
    assert files(scene) == (set(), [])


def test_a_place_that_is_gone_is_told(tmp_path: Path) -> None:
    scene = Rotations(tmp_path, configuration("ec-p256@sealed"))
    scene.serve()
    scene.parts.homes.pop("sealed")  # type: ignore[attr-defined] # a dict of this scene
    _, (fault,) = files(scene)
    assert 'keys at "sealed": the configuration has no such place' in fault
    assert scene.time.now == NOW
