"""`plexigate completion`."""

from typer.testing import CliRunner

from proxy.commands.cli import app


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
