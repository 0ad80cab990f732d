"""What all integration tests share: an authority, and a certificate for localhost that it issued."""

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.integration.stage", "tests.integration.upstreams")

from tests.certificates import Authority, CertificateFiles  # noqa: E402 - rewritten only from here on


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of all certificates."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def authority(certificates: Path) -> Authority:
    """Who vouches for proxies and upstreams."""
    return Authority(certificates)


@pytest.fixture(scope="session")
def localhost(authority: Authority) -> CertificateFiles:
    """A certificate for localhost and its addresses."""
    return authority.issue("localhost")
