"""Tokens for the tests of this directory, and a place for many writes."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients.client import TokenProcess
from tests.hsm_tokens import SoftHsm, softhsm, token_process
from tests.tried_tokens import control, plexi, use

__all__ = ["access", "control", "hsm", "in_memory", "plexi", "token", "use"]


@pytest.fixture
def hsm(tmp_path: Path) -> Iterator[SoftHsm]:
    """A SoftHSM without tokens."""
    with softhsm(tmp_path) as one:
        yield one


@pytest.fixture
def access(hsm: SoftHsm) -> TokenAccess:
    """A token named plexi."""
    return hsm.init_token("plexi")


@pytest.fixture
def token(access: TokenAccess) -> Iterator[TokenProcess]:
    """A process that has logged in to it."""
    with token_process(access) as process:
        yield process


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: a simulated crash loses nothing there, and thousands of syncs wait for no disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a directory of its own is made there
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=memory) as made:
        yield Path(made)
