"""The doctor finds the configuration and the running proxy."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.values.problems import ConfigError
from proxy.commands.doctor import looking
from proxy.commands.doctor.looking import examined
from proxy.doctor.finding import State
from tests.configurations import Site
from tests.proxy.doctor.checkups import NOON


@contextlib.contextmanager
def answering_socket(path: Path, status: dict[str, Any]) -> Iterator[None]:
    """An admin socket that answers one question."""
    body = json.dumps(status).encode()

    def serve() -> None:
        with listening.accept()[0] as sock:
            sock.recv(65_536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def test_configuration_is_read_and_the_absence_of_a_proxy_is_said(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    file = site.write(site.minimal)
    found = examined(file, tmp_path / "admin.sock", lambda: NOON)
    assert (found.file, found.running, found.now()) == (file, None, NOON)
    assert found.configured is not None
    assert found.absence.startswith(f"no running proxy answers: {tmp_path}/admin.sock: No such file")


def test_weight_of_an_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert examined(None, tmp_path / "admin.sock", lambda: NOON).absence_state is State.WARNING
    (tmp_path / "file").touch()
    assert examined(None, tmp_path / "file/admin.sock", lambda: NOON).absence_state is State.UNKNOWN

    monkeypatch.setattr(looking, "_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "admin.sock"))
        silent.listen()
        found = examined(None, tmp_path / "admin.sock", lambda: NOON)
    assert found.absence_state is State.FAILURE
    assert "no answer within 0.05 s" in found.absence


def test_without_a_file_there_is_no_configuration(tmp_path: Path) -> None:
    found = examined(None, tmp_path / "admin.sock", lambda: NOON)
    assert (found.file, found.configured) == (None, None)


@pytest.mark.parametrize(
    ("told", "is_read"), [("plexigate.toml", True), ("gone.toml", False), ("", False), (None, False)]
)
def test_without_a_file_that_of_the_running_proxy_is_taken(tmp_path: Path, told: str | None, is_read: bool) -> None:  # noqa: FBT001 - a parameter of a test
    site = Site.make(tmp_path)
    file = site.write(site.minimal)
    named = None if told is None else {"file": str(tmp_path / told) if told else "plexigate.toml"}
    with answering_socket(tmp_path / "admin.sock", {"configuration": named}):
        found = examined(None, tmp_path / "admin.sock", lambda: NOON)
    assert found.running is not None
    assert (found.file, found.configured is not None) == ((file, True) if is_read else (None, False))


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        examined(tmp_path / "gone.toml", None, lambda: NOON)
