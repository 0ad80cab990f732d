"""Both drivers of TLS: a test that takes `driver` is run with each."""

from collections.abc import Iterator

import pytest

from proxy.processes.hot_path import hot_path
from proxy.tls.handshake.attempt import _own
from proxy.tls.openssl.bio_pair import BioPair
from proxy.tls.openssl.driver import TlsDriver, driver_name, new_driver


@pytest.fixture(params=["ssl", "native"])
def driver(request: pytest.FixtureRequest) -> TlsDriver:
    """A driver with nothing in it."""
    if request.param == "ssl":
        return BioPair()
    # it is built with the compiled code, and then it has to be there
    if driver_name() != "native" and hot_path() != "compiled":
        pytest.skip("run the compiled code: it brings the native driver")
    assert driver_name() == "native"
    return new_driver()


@pytest.fixture
def of_thread(driver: TlsDriver) -> Iterator[None]:
    """Have attempts in this thread use the same driver."""
    _own.driver = driver
    yield
    del _own.driver


def is_empty(driver: TlsDriver) -> bool:
    """Whether a driver holds no byte of any connection; the native one has no place for one."""
    return not isinstance(driver, BioPair) or not (driver.incoming.pending or driver.outgoing.pending)
