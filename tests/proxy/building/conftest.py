"""An OpenSSL and certificates that the parts of a generation are built with."""

import pytest

from proxy.tls.openssl.capabilities import Capabilities
from proxy.tls.openssl.capabilities import survey as survey_openssl
from tests.configurations import Site


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey_openssl(())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))
