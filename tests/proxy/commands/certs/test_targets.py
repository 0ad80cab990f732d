"""Where commands about certificates go."""

import json
from pathlib import Path

import pytest

from config.values.problems import ConfigError
from proxy.admin.client import AdminRefused
from proxy.admin.requests.wishes import RotationWish
from proxy.commands.certs.targets import CommandTarget, offline_of
from tests.parts import part
from tests.proxy.commands.test_running import Running, running
from tests.rotations import Rotations

__all__ = ["running"]


def test_a_running_proxy_is_asked(running: Running) -> None:
    running.control.rotating.listed = [{"identity": "chat"}, {"identity": "chat"}, {"identity": "files"}]
    target = CommandTarget(None, running.path, offline=False)
    assert target.names() == ["chat", "files"]
    steps = list(target.rotate("chat", "ec", RotationWish(is_compromised=True)))
    assert steps[-1] == {"ok": True}
    assert running.control.rotating.told == [("rotate", "chat", "ec", RotationWish(is_compromised=True))]
    assert target.roll_back("chat", None) == [part({"ok": True, "version": 1})]


def test_what_it_refuses_is_told(running: Running) -> None:
    target = CommandTarget(None, running.path, offline=False)
    with pytest.raises(AdminRefused, match="no identity nobody"):
        list(target.rotate("nobody", None, RotationWish()))
    with pytest.raises(AdminRefused, match="no identity nobody"):
        target.roll_back("nobody", None)


class TestOffline:
    @pytest.fixture
    def target(self, tmp_path: Path) -> CommandTarget:
        return CommandTarget(Rotations(tmp_path).file, None, offline=True)

    def test_the_state_directory_is_read_and_changed(self, target: CommandTarget) -> None:
        assert [one["version"] for one in target.listing()] == [None]
        steps = list(target.rotate("chat", None, RotationWish()))
        assert steps[-1] == {"ok": True}
        assert [one["version"] for one in target.listing()] == [1]
        assert [one["ok"] for one in target.roll_back("chat", "ec")] == [False]

    def test_a_dry_run_changes_nothing(self, target: CommandTarget) -> None:
        steps = list(target.rotate("chat", None, RotationWish(is_dry_run=True)))
        assert json.dumps(steps[0]["would"])
        assert steps[-1] == {"ok": True}
        assert [one["version"] for one in target.listing()] == [None]

    def test_unknown_names_are_refused(self, target: CommandTarget) -> None:
        with pytest.raises(AdminRefused, match="identity nobody has no such certificate"):
            list(target.rotate("nobody", None, RotationWish()))

    def test_it_needs_the_configuration(self) -> None:
        with pytest.raises(ConfigError, match="--config FILE"):
            offline_of(None)
