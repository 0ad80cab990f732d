"""Tokens for the tests of this directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.hsm.access import TokenAccess
from certs.hsm.clients.client import TokenProcess
from tests.hsm_tokens import SoftHsm, softhsm, token_process
from tests.in_memory import in_memory
from tests.tried_tokens import control, plexi, use

__all__ = ["access", "control", "hsm", "in_memory", "plexi", "tmp_path", "token", "use"]


@pytest.fixture
def tmp_path(in_memory: Path) -> Path:
    """Keys, certificates and logs are synced, and so are the objects of SoftHSM."""
    return in_memory


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
