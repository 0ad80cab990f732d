"""What tests with tokens share. Missing tools fail them: what cannot be proved must not look proved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hsm.shim import build_shim
from tests.hsm.site import HsmSite
from tests.hsm.softhsm import SOFTHSM


@pytest.fixture(scope="session")
def shim_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled once."""
    return build_shim(tmp_path_factory.mktemp("shim"), SOFTHSM)


@pytest.fixture
def hsm_site(tmp_path: Path, shim_module: Path) -> Iterator[HsmSite]:
    """Tokens of one test."""
    site = HsmSite.make(tmp_path, shim_module)
    yield site
    site.hsm.shim.close()
