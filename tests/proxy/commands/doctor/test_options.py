"""How the commands of the doctor end without a configuration."""

import pytest

from config.values.problems import ConfigError, Problem
from proxy.commands.doctor.options import UNREADABLE, unreadable


def test_problems_are_printed_and_the_exit_says_that_nothing_was_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem("plexigate.toml", "file", "no such file", "a file that can be read")
    assert unreadable(ConfigError([problem])).exit_code == UNREADABLE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "no such file" in printed.err
