"""The commands, run against a real admin server on a real socket."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from proxy.admin.server import AdminServer
from proxy.admin.settings import AdminSettings
from proxy.commands.cli import app
from proxy.commands.running import live_view
from proxy.observe.status import status
from tests.fakes_admin import FakeControl, host_of


class Person:
    """Waits a few times, then presses Ctrl-C."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.drawn = 0

    def draw(self) -> str:
        self.drawn += 1
        return "view " + "abc"[self.drawn - 1]

    def wait(self) -> None:
        self.patience -= 1
        if self.patience < 0:
            raise KeyboardInterrupt


def terminal() -> tuple[Console, io.StringIO]:
    output = io.StringIO()
    return Console(file=output, force_terminal=True, width=40, height=10), output


def test_it_is_drawn_until_ctrl_c_and_gives_the_screen_back() -> None:
    console, output = terminal()
    person = Person(2)
    live_view(console, person.draw, person.wait)
    assert person.drawn == 3
    text = output.getvalue()
    assert text.index("view a") < text.index("view b") < text.index("view c")
    assert text.startswith("\x1b[?1049h")
    assert "\x1b[?1049l" in text[text.index("view c") :]


def test_error_of_a_drawing_ends_it_and_gives_the_screen_back() -> None:
    console, output = terminal()

    def fail() -> str:
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        live_view(console, fail, lambda: None)
    assert "\x1b[?1049l" in output.getvalue()


SERVER = "http://10.0.0.1:8000"


@dataclass
class Running:
    """An admin server in a thread of its own."""

    path: Path
    control: FakeControl

    def run(self, *arguments: str, given: str | None = None) -> Result:
        return plexigate(*arguments, "--socket", str(self.path), given=given)


def plexigate(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given, env={"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"})


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    control, path = FakeControl(), tmp_path / "admin.sock"
    loop, is_up, errors = asyncio.new_event_loop(), threading.Event(), list[BaseException]()
    server = AdminServer(control.parts, AdminSettings(path), host_of(errors))

    def serve() -> None:
        loop.run_until_complete(server.start())
        loop.call_soon(is_up.set)
        loop.run_forever()
        loop.run_until_complete(server.stop())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    assert is_up.wait(10)
    yield Running(path, control)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    assert errors == []


class TestStatus:
    def test_tables(self, running: Running) -> None:
        result = running.run("status")
        assert (result.exit_code, result.stderr) == (0, "")
        for word in ("4001", "70.0 %", "OldChat/1.4 (Windows NT 6.1)", "192.0.2.0/24", SERVER, "ejected", "expired"):
            assert word in result.stdout
        assert "…" not in result.stdout

    def test_watching_needs_a_terminal(self, running: Running) -> None:
        for more in ((), ("--json",)):
            result = running.run("status", "--watch", *more)
            assert (result.exit_code, result.stdout) == (2, "")
            assert "--watch needs a terminal, and goes without --json" in result.stderr

    def test_json_is_the_whole_document(self, running: Running) -> None:
        result = running.run("status", "--json")
        assert result.exit_code == 0
        assert json.loads(result.stdout) == {**status(running.control.answer), "metrics": []}

    def test_nobody_answers(self, tmp_path: Path) -> None:
        result = plexigate("status", "--socket", str(tmp_path / "admin.sock"))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            f"plexigate: {tmp_path}/admin.sock: No such file or directory; "
            "is Plexigate running, and are you its user or root? (--socket PATH asks another)\n"
        )

    def test_a_configuration_that_cannot_be_read(self, tmp_path: Path) -> None:
        result = plexigate("status", "--config", str(tmp_path / "missing.toml"))
        assert result.exit_code == 1
        assert "missing.toml: found No such file or directory" in result.stderr

    def test_an_answer_of_another_program(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("proxy.commands.running.asked", lambda *_: {"state": "fine"})
        result = running.run("status")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "the answer is not a status" in result.stderr


class TestDrain:
    @pytest.mark.parametrize(("options", "seconds"), [((), None), (("--seconds", "90.5"), 90.5)])
    def test_drain(self, running: Running, options: tuple[str, ...], seconds: float | None) -> None:
        result = running.run("drain", "chat", SERVER, *options)
        assert (result.exit_code, result.stderr) == (0, "")
        assert result.stdout == f"{SERVER} of upstream chat gets no new requests.\n"
        assert running.control.told == [("drain", "chat", SERVER, seconds)]

    def test_drain_of_the_last_one_warns(self, running: Running) -> None:
        running.control.warning = "no other server takes requests"
        result = running.run("drain", "chat", SERVER)
        assert (result.exit_code, result.stderr) == (0, "warning: no other server takes requests\n")
        assert result.stdout == f"{SERVER} of upstream chat gets no new requests.\n"

    def test_of_the_whole_fleet(self, running: Running) -> None:
        for verb in ("drain", "undrain"):
            assert running.run(verb, "chat", SERVER, "--fleet").exit_code == 0
        assert running.control.told == [("drain", "chat", SERVER, None, "fleet"), ("undrain", "chat", SERVER, "fleet")]

    def test_undrain(self, running: Running) -> None:
        result = running.run("undrain", "chat", SERVER)
        assert (result.exit_code, result.stdout) == (0, f"{SERVER} of upstream chat gets requests again.\n")
        assert running.control.told == [("undrain", "chat", SERVER)]

    def test_json_is_the_answer(self, running: Running) -> None:
        running.control.warning = "no other server takes requests"
        result = running.run("drain", "chat", SERVER, "--json")
        about = {"upstream": "chat", "server": SERVER}
        assert (result.exit_code, result.stderr) == (0, "")
        assert json.loads(result.stdout) == {
            **about,
            "draining": True,
            "warning": "no other server takes requests",
        }
        assert json.loads(running.run("undrain", "chat", SERVER, "--json").stdout) == {**about, "draining": False}

    def test_an_unknown_server(self, running: Running) -> None:
        result = running.run("drain", "chat", "unix:/run/x y?.sock")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "upstream chat has no server unix:/run/x y?.sock; there are chat/http://10.0.0.1:8000" in result.stderr


@pytest.mark.parametrize("command", ["status", "drain", "undrain"])
def test_help_has_an_example(command: str) -> None:
    result = plexigate(command, "--help")
    assert result.exit_code == 0
    assert f"Example: plexigate {command}" in result.stdout
