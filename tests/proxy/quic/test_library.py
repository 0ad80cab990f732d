"""The compiled part is there where HTTP/3 is available."""

import pytest

from proxy.quic.availability import LIBRARIES, unavailable, written
from proxy.quic.library import native

pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


def test_it_runs_with_the_libraries_that_were_found() -> None:
    found = [one.version() for one in LIBRARIES]
    assert native().versions() == tuple(written(one) for one in found if one is not None)
    assert native() is native()
