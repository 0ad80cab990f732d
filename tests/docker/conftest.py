"""What several tests of the folder use."""

from typing import Any

import pytest


@pytest.fixture(scope="session")
def helm() -> Any:
    """Helm's own code. It starts threads when it is imported, so no module imports it: see `tests/side_by_side.py`."""
    return pytest.importorskip("helm_python")
