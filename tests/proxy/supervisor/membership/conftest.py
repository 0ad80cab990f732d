"""The fleet of a test, whose nodes try again at once."""

from pathlib import Path

import pytest

from tests.proxy.supervisor.membership.nodes import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("proxy.supervisor.membership.member._RETRY_SECONDS", 0.001)
    return World(tmp_path)
