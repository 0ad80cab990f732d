"""The place where these tests keep what they write."""

from pathlib import Path

import pytest

from tests.in_memory import in_memory

__all__ = ["in_memory", "tmp_path"]


@pytest.fixture
def tmp_path(in_memory: Path) -> Path:
    """Keys, certificates and logs are synced, and so are the objects of SoftHSM."""
    return in_memory
