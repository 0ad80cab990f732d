"""Which program an upgrade starts; and under root none that another user can change."""

import os
import sys
from pathlib import Path

import pytest

from proxy.supervisor.upgrade.program import ProgramRefused, StartCommand

ROOT = 0
USER = 1_000
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


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

    @pytest.mark.parametrize(("pid", "has"), [(str(os.getpid()), True), ("1", False)], ids=["own", "another"])
    def test_signs_of_life_are_due_if_they_were_due_here(self, pid: str, *, has: bool) -> None:
        found = StartCommand.of_this_process({"WATCHDOG_PID": pid, "WATCHDOG_USEC": "5"}).environment
        assert found == ({"WATCHDOG_USEC": "5"} if has else {})


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


@needs_root
class TestUnderRoot:
    """A parent that is root starts only what root alone can change."""

    def test_one_of_root_in_directories_of_root(self, tmp_path: Path) -> None:
        command = start(script(tmp_path / "bin/plexigate"))
        assert command.with_program(None, ROOT) == command

    @pytest.mark.parametrize("mode", [0o775, 0o757])
    def test_a_file_that_others_can_write(self, tmp_path: Path, mode: int) -> None:
        file = script(tmp_path / "plexigate")
        file.chmod(mode)
        assert f"found {file}, of user 0 with mode {mode:04o}; allowed: a program that only root" in refused(
            start(file)
        )
        assert start(file).with_program(None, USER).program

    def test_a_file_of_another_user(self, tmp_path: Path) -> None:
        file = script(tmp_path / "plexigate")
        os.chown(file, USER, USER)
        assert f"{file}, of user 1000 with mode 0755" in refused(start(file))

    @pytest.mark.parametrize("mode", [0o775, 0o757])
    def test_a_directory_that_others_can_write(self, tmp_path: Path, mode: int) -> None:
        file = script(tmp_path / "lib/bin/plexigate")
        file.parent.parent.chmod(mode)
        assert f"{file.parent.parent}, of user 0 with mode {mode:04o}" in refused(start(file))

    def test_a_directory_of_another_user_on_the_way(self, tmp_path: Path) -> None:
        file = script(tmp_path / "home/bin/plexigate")
        os.chown(file.parent.parent, USER, USER)
        assert f"{file.parent.parent}, of user 1000" in refused(start(file))

    def test_a_link_leads_to_what_is_judged(self, tmp_path: Path) -> None:
        file = script(tmp_path / "v2/plexigate")
        (link := tmp_path / "current").symlink_to("v2")
        assert start(link / "plexigate").with_program(None, ROOT).program
        os.chown(file.parent, USER, USER)
        assert f"{file.parent}, of user 1000" in refused(start(link / "plexigate"))

    def test_a_link_of_another_user_in_a_directory_of_all(self, tmp_path: Path) -> None:
        (shared := tmp_path / "shared").mkdir()
        shared.chmod(0o1777)
        script(tmp_path / "plexigate")
        (link := shared / "plexigate").symlink_to("../plexigate")
        assert start(link).with_program(None, ROOT).program
        os.chown(link, USER, USER, follow_symlinks=False)
        assert f"{link}, of user 1000" in refused(start(link))

    def test_links_to_other_places_and_in_a_circle(self, tmp_path: Path) -> None:
        file = script(tmp_path / "v2/plexigate")
        (link := tmp_path / "abs").symlink_to(file.parent)
        assert start(link / ".." / "v2" / "plexigate").with_program(None, ROOT).program
        a, b = tmp_path / "a", tmp_path / "b"
        a.symlink_to(b)
        b.symlink_to(a)
        assert "no file" in refused(start(a / "plexigate"))

    def test_the_interpreter_of_a_script_is_judged_too(self, tmp_path: Path) -> None:
        assert "gone: No such file" in refused(start(script(tmp_path / "broken", f"#!{tmp_path}/gone")))
        python = script(tmp_path / "home/python")
        os.chown(python, USER, USER)
        assert f"{python}: found {python}, of user 1000" in refused(
            start(script(tmp_path / "plexigate", f"#!{python} -P"))
        )
