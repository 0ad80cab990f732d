"""Where checkpoints go: a real datagram socket, and standard error where there is none."""

import io
import socket
from pathlib import Path

import pytest

from certs.audit.journal import StreamJournal, SyslogJournal
from tests.certs.audit.logs import Journal


def test_a_datagram_with_its_priority(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(5)
        fallback = Journal()
        SyslogJournal(path, fallback).send("chéckpoint")
        text = receiver.recv(1_000).decode()
    assert text.startswith("<85>plexigate[")
    assert text.endswith("]: chéckpoint")
    assert fallback.texts == []


def test_without_a_daemon_it_goes_to_the_fallback(tmp_path: Path) -> None:
    fallback = Journal()
    SyslogJournal(tmp_path / "missing", fallback).send("checkpoint")
    assert fallback.texts == ["checkpoint"]


def test_a_full_queue_does_not_wait(tmp_path: Path) -> None:
    path = tmp_path / "log"
    fallback = Journal()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        for _ in range(2_000):
            SyslogJournal(path, fallback).send("checkpoint")
            if fallback.texts:
                break
    assert fallback.texts == ["checkpoint"]


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    StreamJournal().send("checkpoint")
    assert capsys.readouterr().err == "checkpoint\n"


def test_a_closed_stream_ends_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    StreamJournal(stream).send("checkpoint")
