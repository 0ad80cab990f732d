"""Tests of processes that are another user need root, and an interpreter that this user can run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest


def _can_be_somebody_else() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run([sys.executable, "-c", "import proxy"], user="nobody", check=False, capture_output=True)
    except PermissionError:
        return False
    return done.returncode == 0


AS_SOMEBODY_ELSE: Final = pytest.mark.skipif(
    not _can_be_somebody_else(),
    reason="run as root, with a Python that the user nobody can run too: not one below /root",
)

NEEDS_ROOT: Final = pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can give files to others")


@contextmanager
def root_only_directory() -> Iterator[Path]:
    """A directory of root to which root alone can write all the way: not one below /tmp."""
    with tempfile.TemporaryDirectory(prefix="plexigate-test-", dir=Path.home()) as made:
        yield Path(made)
