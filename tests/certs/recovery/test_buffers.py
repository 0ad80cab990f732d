"""Secrets that can be overwritten."""

from pathlib import Path

import pytest

from certs.recovery import buffers
from certs.recovery.buffers import random_buffer, wipe


def test_random_and_wiped_in_place() -> None:
    buffer = random_buffer(32)
    same = buffer
    assert len(buffer) == 32
    assert buffer != random_buffer(32)
    wipe(buffer)
    assert same is buffer
    assert same == bytes(32)


def test_a_source_that_gives_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffers, "_RANDOM", Path("/dev/null"))
    with pytest.raises(OSError, match="less than 32 bytes"):
        random_buffer(32)
