"""What tests with tokens share. Missing tools fail them: what cannot be proved must not look proved."""

import tempfile
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


@pytest.fixture
def public_site(shim_module: Path) -> Iterator[HsmSite]:
    """A directory that everybody may look into, as that of pytest is its owner's alone."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        shim = Path(directory) / "shim.so"
        shim.write_bytes(shim_module.read_bytes())
        shim.chmod(0o755)
        site = HsmSite.make(Path(directory), shim)
        yield site
        site.hsm.shim.close()
