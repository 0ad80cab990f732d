"""The doctor finds the configuration and the running proxy."""

from pathlib import Path

import pytest

from config.problems import ConfigError
from proxy.commands.doctor.looking import examined
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON


def test_configuration_is_read_and_the_absence_of_a_proxy_is_said(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    file = site.write(site.minimal)
    found = examined(file, tmp_path / "admin.sock", lambda: NOON)
    assert (found.file, found.running, found.now()) == (file, None, NOON)
    assert found.configured is not None
    assert found.absence.startswith(f"no running proxy answers: {tmp_path}/admin.sock: No such file")


def test_without_a_file_there_is_no_configuration(tmp_path: Path) -> None:
    found = examined(None, tmp_path / "admin.sock", lambda: NOON)
    assert (found.file, found.configured) == (None, None)


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        examined(tmp_path / "gone.toml", None, lambda: NOON)
