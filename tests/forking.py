"""A fixture for rooms whose tests start many workers or token processes, and do not ask how they are started."""

from collections.abc import Iterator

import pytest

from tests import prepared_children


@pytest.fixture(autouse=True)
def forking() -> Iterator[None]:
    """Have them forked, see `tests.prepared_children`. A file that tests starts has an empty fixture of this name."""
    with prepared_children.forked():
        yield
