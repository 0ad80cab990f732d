"""A CA for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.acme_directory", "tests.certs.acme.scene")

from tests.certs.acme.scene import Scene, scene  # noqa: E402 - after the line above


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Scene]:
    """Our own CA."""
    with scene(tmp_path) as made:
        yield made
