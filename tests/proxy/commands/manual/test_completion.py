"""`plexigate completion`."""

from pathlib import Path

from typer.testing import CliRunner

from proxy.commands.cli import app
from proxy.commands.manual.completion import PLACES, Shell, _installed


def test_it_prints_what_is_installed() -> None:
    for shell, beginning in (
        ("bash", "# bash completion"),
        ("zsh", "#compdef plexigate\n"),
        ("fish", "# fish completion"),
    ):
        done = CliRunner().invoke(app, ["completion", shell])
        assert done.exit_code == 0
        assert done.stdout.startswith(beginning)
        assert done.stdout.endswith("\n")


def test_unknown_shell_is_refused() -> None:
    assert CliRunner().invoke(app, ["completion", "csh"]).exit_code == 2


def test_what_was_installed_with_the_program_is_printed_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / PLACES[Shell.BASH]
    place.parent.mkdir(parents=True)
    place.write_text("installed\n")
    assert _installed(tmp_path, tmp_path / "lib" / "completion.py", Shell.BASH) == "installed\n"
    assert _installed(tmp_path, tmp_path / "lib" / "completion.py", Shell.FISH) is None
    assert _installed(tmp_path, tmp_path.parent / "completion.py", Shell.BASH) is None, "another one may lie there"
