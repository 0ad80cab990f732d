"""Which program an upgrade starts."""

import os
import sys
from pathlib import Path

import pytest

from proxy.supervisor.upgrade.program import ProgramRefused, StartCommand
from tests.accounts import NEEDS_ROOT, root_only_directory

ROOT = 0
USER = 1_000


def script(path: Path, first: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\n")
    path.chmod(0o755)
    return path


def start(program: Path, *arguments: str) -> StartCommand:
    return StartCommand((str(program),), arguments, {})


def refused(command: StartCommand, path: Path | str | None = None, user: int = ROOT) -> str:
    with pytest.raises(ProgramRefused) as caught:
        command.with_program(None if path is None else str(path), user)
    return str(caught.value)


class TestStart:
    """How this process was started."""

    def of(self, monkeypatch: pytest.MonkeyPatch, words: list[str], arguments: list[str]) -> StartCommand:
        monkeypatch.setattr(sys, "orig_argv", [*words, *arguments])
        monkeypatch.setattr(sys, "argv", ["plexigate", *arguments])
        return StartCommand.of_this_process({"A": "1", "LISTEN_FDS": "3", "PLEXIGATE_UPGRADE": "7"})

    def test_a_script_is_named_by_itself_as_its_interpreter_may_change(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = script(tmp_path / "plexigate")
        monkeypatch.chdir(tmp_path)
        for words in (["/usr/bin/python3", "plexigate"], ["/usr/bin/python3", "-P", "plexigate"]):
            found = self.of(monkeypatch, words, ["run", "x.toml"])
            assert (found.program, found.arguments) == ((str(file),), ("run", "x.toml"))
            assert found.environment == {"A": "1"}

    def test_a_module_is_started_as_it_was(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = self.of(monkeypatch, ["python3", "-P", "-m", "proxy.commands.start"], ["run", "x.toml"])
        assert found.program == (sys.executable, "-P", "-m", "proxy.commands.start")

    def test_signs_of_life_are_due_if_they_were_due_here(self) -> None:
        for pid, expected in ((os.getpid(), {"WATCHDOG_USEC": "5"}), (1, {})):
            found = StartCommand.of_this_process({"WATCHDOG_PID": str(pid), "WATCHDOG_USEC": "5"})
            assert found.environment == expected


class TestProgram:
    """Which one."""

    def test_the_installed_one_or_another_one_with_the_same_arguments(self, tmp_path: Path) -> None:
        command = start(script(tmp_path / "old"), "run", "x.toml")
        other = script(tmp_path / "new")
        assert command.with_program(None, USER) == command
        assert command.with_program(str(other), USER) == start(other, "run", "x.toml")

    def test_one_that_is_not_there_or_no_program(self, tmp_path: Path) -> None:
        command = start(tmp_path / "gone")
        assert "found no file that this process may execute" in refused(command)
        assert "found no file that this process may execute" in refused(command, tmp_path)
        assert "found a relative path; allowed: the full path" in refused(command, "plexigate")
        (plain := tmp_path / "plain").write_text("")
        assert "found no file that this process may execute" in refused(command, plain)


@NEEDS_ROOT
def test_a_parent_that_is_root_starts_only_what_root_alone_can_change() -> None:
    with root_only_directory() as place:
        command = start(script(place / "bin/plexigate"))
        assert command.with_program(None, ROOT) == command
        (place / "bin").chmod(0o757)
        found = f"{place}/bin/plexigate: found {place}/bin, of user 0 with mode 0757; allowed: a program that only root"
        assert found in refused(command)
        assert command.with_program(None, USER) == command
        broken = start(script(place / "broken", f"#!{place}/gone"))
        assert f"{place}/gone: No such file" in refused(broken)
