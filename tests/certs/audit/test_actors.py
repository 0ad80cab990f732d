"""Who does something, as the log names them."""

import os
import pwd
from pathlib import Path

import pytest

from certs.audit.actors import command_line_actor


@pytest.mark.parametrize("login", ["4294967295", str(os.getuid()), ""])
def test_the_user_of_the_command(tmp_path: Path, login: str) -> None:
    (tmp_path / "loginuid").write_text(login)
    assert command_line_actor(tmp_path / "loginuid") == f"cli {pwd.getpwuid(os.getuid()).pw_name}"
    assert command_line_actor(tmp_path / "missing") == command_line_actor(tmp_path / "loginuid")


def test_the_user_who_logged_in_for_it(tmp_path: Path) -> None:
    (tmp_path / "loginuid").write_text("54321\n")
    assert command_line_actor(tmp_path / "loginuid").endswith(" for uid 54321")
