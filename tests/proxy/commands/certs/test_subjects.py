"""What is looked at."""

from pathlib import Path

import pytest

from certs.rotation.facts import leaf_of
from config.values.problems import ConfigError
from proxy.admin.client import AdminRefused, AdminUnreachable
from proxy.commands.certs.subjects import listening, shown_by_workers, subjects
from tests.configurations import Site
from tests.parts import part
from tests.proxy.commands.test_running import Running, running
from tests.rotations import Rotations

__all__ = ["running"]


def test_what_was_issued_is_held_against_the_root_of_its_issuer(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    version = scene.serve()
    _, (found,) = subjects(scene.file, "chat", None)
    assert found.about == "chat ec-p256@file"
    assert found.chain[0] == leaf_of(version)
    assert found.roots == scene.moody.roots


def test_what_is_not_there_yet_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="plexigate certs rotate chat"):
        subjects(Rotations(tmp_path).file, "chat", None)


def test_files_are_held_against_the_roots_that_are_given(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    path = site.write(site.minimal)
    _, (found,) = subjects(path, "chat", None)
    assert found.roots == ()
    _, (given,) = subjects(path, "chat", site.authority.path)
    assert len(given.roots) == 1


def test_an_unknown_identity_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of chat"):
        subjects(Rotations(tmp_path).file, "nobody", None)


def test_the_running_proxy_says_where_it_listens_and_what_workers_show(running: Running, tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    scene = Rotations(tmp_path / "scene")
    text = scene.file.read_text().replace(str(scene.directory / "admin.sock"), str(running.path))
    scene.file.write_text(text)
    scene.serve()
    loaded, _ = subjects(scene.file, "chat", None)
    assert [str(bind) for bind in listening(loaded, None)] == ["0.0.0.0:443", "[::]:443", "0.0.0.0:8443"]
    running.control.rotating.rows = [{"worker": 0}]
    assert shown_by_workers(loaded, None, "chat") == [part({"worker": 0})]
    with pytest.raises(AdminRefused):
        shown_by_workers(loaded, None, "nobody")


def test_no_proxy_is_told(tmp_path: Path) -> None:
    scene = Rotations(tmp_path)
    scene.serve()
    loaded, _ = subjects(scene.file, "chat", None)
    with pytest.raises(AdminUnreachable):
        listening(loaded, None)
