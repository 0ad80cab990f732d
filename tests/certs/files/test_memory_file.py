"""Files in memory: sealed, for this process, and gone with their object."""

import os

import pytest

from certs.files.memory_file import MemoryFile, sealed_memory_file
from tests.descriptors import open_descriptors


def test_nobody_can_change_it() -> None:
    descriptor = sealed_memory_file("key", b"a" * 100_000)
    try:
        assert os.pread(descriptor, 200_000, 0) == b"a" * 100_000
        with pytest.raises(PermissionError):
            os.pwrite(descriptor, b"b", 0)
        with pytest.raises(PermissionError):
            os.ftruncate(descriptor, 0)
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_failure_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    before = open_descriptors()
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        sealed_memory_file("key", b"a")
    assert open_descriptors() == before


def test_lives_as_long_as_its_object() -> None:
    before = open_descriptors()
    file = MemoryFile("pin", b"sesam")
    assert file.path.read_bytes() == b"sesam"
    assert file.path.read_bytes() == b"sesam"  # from its beginning each time
    assert "sesam" not in repr(file)
    del file
    assert open_descriptors() == before
