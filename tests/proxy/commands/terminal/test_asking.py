"""Commands that ask a proxy: what they get, and how they end otherwise."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from proxy.admin.client import UnixAdminClient
from proxy.commands.terminal.asking import ConfigOption, SocketOption, asked, ended


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((409, {"detail": "a rotation is in progress"}), "plexigate: a rotation is in progress\n"),
        ((500, {"title": "odd"}), "plexigate: nowhere.sock: {'title': 'odd'}\n"),
    ],
)
def test_refusal_is_the_sentence_of_the_proxy(
    capsys: pytest.CaptureFixture[str], answer: tuple[int, dict[str, Any]], sentence: str
) -> None:
    with pytest.raises(typer.Exit) as caught:
        asked(None, Path("nowhere.sock"), lambda _: answer)
    assert (caught.value.exit_code, capsys.readouterr()) == (1, ("", sentence))


def test_answer_is_its_body() -> None:
    def ask(client: UnixAdminClient) -> tuple[int, dict[str, Any]]:
        return 200, {"socket": str(client.path)}

    assert asked(None, Path("nowhere.sock"), ask) == {"socket": "nowhere.sock"}


def test_no_proxy_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        asked(None, tmp_path / "admin.sock", lambda client: client.get("/status"))
    assert "is Plexigate running" in capsys.readouterr().err


def test_configuration_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        asked(tmp_path / "none.toml", None, lambda client: client.get("/status"))
    assert "none.toml" in capsys.readouterr().err


def test_status_of_the_end_may_be_another(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("unreadable", 2).exit_code == 2
    assert capsys.readouterr().err == "plexigate: unreadable\n"


def test_both_may_be_left_out_and_are_paths() -> None:
    app = typer.Typer()

    @app.command()
    def ask(config: ConfigOption = None, socket: SocketOption = None) -> None:
        typer.echo(f"{config!r} {socket!r}")

    assert CliRunner().invoke(app, []).output == "None None\n"
    given = CliRunner().invoke(app, ["--config", "a.toml", "--socket", "a.sock"])
    assert given.output == "PosixPath('a.toml') PosixPath('a.sock')\n"
