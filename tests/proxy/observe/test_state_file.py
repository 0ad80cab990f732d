"""Where a proxy keeps what it remembers."""

from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.observe.state_file import state_file
from tests.configurations import MINIMAL_LISTENER, MINIMAL_REST, Site


def test_file_is_in_the_state_of_the_rotation(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST + '[rotation]\nstate = "state"\n'
    assert state_file(load(site.write(text)), "adoption") == tmp_path / "state" / "adoption.json"


def test_proxies_of_one_user_have_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "of-user"))
    site = Site.make(tmp_path)
    text = MINIMAL_LISTENER + site.identity + MINIMAL_REST
    files = [state_file(load(site.write(text, name)), "adoption") for name in ("one.toml", "other.toml")]
    assert len(set(files)) == 2
    assert {file.parent for file in files} == {tmp_path / "of-user"}
    assert all(file.name.startswith("adoption-") for file in files)
