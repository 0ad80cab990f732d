"""Each command finds the running proxy by the same options."""

import typer
from typer.testing import CliRunner

from proxy.commands.terminal.admin_options import ConfigOption, SocketOption


def test_both_may_be_left_out_and_are_paths() -> None:
    app = typer.Typer()

    @app.command()
    def ask(config: ConfigOption = None, socket: SocketOption = None) -> None:
        typer.echo(f"{config!r} {socket!r}")

    assert CliRunner().invoke(app, []).output == "None None\n"
    given = CliRunner().invoke(app, ["--config", "a.toml", "--socket", "a.sock"])
    assert given.output == "PosixPath('a.toml') PosixPath('a.sock')\n"
