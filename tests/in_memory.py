"""A place for many writes."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory, where there is one: a simulated crash loses nothing there, and thousands of syncs wait for no disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of its own is made there
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("synced")
        return
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)
        for thread in threading.enumerate():
            if thread.name == "work":  # of `in_thread`: nobody waits for it any more, and it still writes
                thread.join(1)
