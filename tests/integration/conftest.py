"""What all integration tests share: an authority, and a certificate for localhost that it issued."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, CertificateFiles
from tests.integration.gateway import Gateway, Trust, complaints, echo
from tests.integration.gateway import gateway as running_gateway
from tests.integration.upstreams import ScriptedServer, scripted


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


@pytest.fixture(scope="session")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """The authorities of the gateway's identities."""
    return Trust.make(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="session")
def echo_server() -> Iterator[ScriptedServer]:
    """The upstream of the gateway."""
    with scripted(echo) as server:
        yield server


@pytest.fixture(scope="session")
def gateway(trust: Trust, echo_server: ScriptedServer) -> Iterator[Gateway]:
    """A proxy with a listener for each level and policy; none of the tests changes it."""
    with running_gateway(trust.directory, trust, echo_server) as running:
        yield running
    assert complaints(running.program.output) == []
