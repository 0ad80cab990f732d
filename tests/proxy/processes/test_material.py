"""File contents on their way to a worker: whole, with their modes, and never in sight."""

import os
import stat
from pathlib import Path

import pytest

from config.loading.reading import FileContent
from proxy.processes.material import Material
from tests.descriptors import open_descriptors

SECRET = b"-----BEGIN PRIVATE KEY-----"


@pytest.fixture
def material(tmp_path: Path) -> Material:
    """Two files and an empty one, of three modes."""
    for name, content, mode in (("key", SECRET, 0o600), ("chain", b"\0\xff" * 100_000, 0o644), ("empty", b"", 0o000)):
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
    return Material.read([tmp_path / "key", tmp_path / "chain", tmp_path / "empty"])


def test_what_cannot_be_read_is_missing(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x")
    paths = [tmp_path / "there", tmp_path / "missing", tmp_path]
    assert Material.read(paths) == {str(tmp_path / "there"): FileContent(0o644, b"x")}


def test_travels_in_one_sealed_memory_file(material: Material) -> None:
    before = open_descriptors()
    descriptor = material.memory_file()
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    for _ in range(2):  # several workers read the same one
        assert Material.from_memory_file(descriptor) == material
    os.close(descriptor)
    assert open_descriptors() == before


def test_nothing_travels_too() -> None:
    descriptor = Material().memory_file()
    assert Material.from_memory_file(descriptor) == {}
    os.close(descriptor)


def test_each_path_is_another_one_while_something_is_built(material: Material, tmp_path: Path) -> None:
    before = open_descriptors()
    with material.as_files() as files:
        assert set(files) == {tmp_path / "key", tmp_path / "chain", tmp_path / "empty"}
        for path, there in files.items():
            assert there.read_bytes() == material[str(path)].content
            assert there.read_bytes() == material[str(path)].content, "a second look begins at the start"
        modes = {path.name: stat.S_IMODE(there.stat().st_mode) for path, there in files.items()}
        assert modes == {"key": 0o600, "chain": 0o644, "empty": 0o400}
    assert open_descriptors() == before


def test_paths_end_with_the_block_though_it_fails(material: Material) -> None:
    before = open_descriptors()
    with pytest.raises(ZeroDivisionError), material.as_files():
        raise ZeroDivisionError
    assert open_descriptors() == before


def test_no_secret_is_shown(material: Material) -> None:
    shown = repr(material) + str(material) + repr(list(material.values())) + repr(material.items())
    assert "PRIVATE" not in shown
    assert "key" in repr(material)
