"""A loop of rotations that a test turns by hand."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.proxy.rotation.turning import Turning
from tests.rotations import Rotations
from tests.simulated_rotations import tasks_ended


@pytest.fixture
async def turning(tmp_path: Path) -> AsyncIterator[Turning]:
    made = Turning(Rotations(tmp_path))
    await made.rotating.follow(made.scene.parts)
    yield made
    await tasks_ended(made.tasks)
    assert made.errors == []
