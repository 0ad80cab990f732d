"""Where checkpoints go: a real datagram socket, and standard error where there is none."""

import io
import socket
from pathlib import Path

import pytest

from certs.audit.checkpoint import MARK
from certs.audit.journal import NoteJournal, StreamJournal, SyslogJournal
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


def test_a_person_is_told_in_one_short_line_what_no_journal_has_taken(capsys: pytest.CaptureFixture[str]) -> None:
    NoteJournal().send(MARK + " {" + 400 * "x" + "}")
    NoteJournal().send("a new audit log begins")
    line, begun = capsys.readouterr().err.splitlines()
    assert line.startswith("no journal has the audit checkpoint, as nothing listens at /dev/log")
    assert len(line) < 120
    assert begun == "a new audit log begins"
