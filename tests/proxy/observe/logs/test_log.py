"""The log of a process: the configured form, for records and for events."""

import json
from pathlib import Path

from rich.console import Console

from certs.files.directory import open_log
from config.schema import LogFormat
from proxy.observe.events.certificates import AcmeProgress
from proxy.observe.events.clients import ConnectionCut, HandshakeFailed
from proxy.observe.logs.access_log import ClientRecord, PrettyLines, RequestRecord, TargetRecord
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from tests.waiting import until_found

REQUEST = RequestRecord(
    connection=ClientRecord(
        "203.0.113.5", "public", "chat.test", "X25519MLKEM768", "hybrid", resumed=False, protocol="http/1.1"
    ),
    target=TargetRecord("chat.test", "GET", "/hello", None),
    time=1_790_000_000.25,
    status=200,
    request_bytes=0,
    response_bytes=5,
    first_byte=0.001,
    duration=0.002,
    upstream="http://127.0.0.1:8000",
    route="chat.test/",
    request_id="a-1",
    error=None,
    messages=None,
)
HANDSHAKE = HandshakeFailed("203.0.113.5", "public", None, "timeout", "too slow", None, (), 10_000.0)
CUT = ConnectionCut(
    "203.0.113.5",
    "public",
    "chat.test",
    "X25519MLKEM768",
    "hybrid",
    resumed=False,
    protocol="http/1.1",
    reason="tls_record_flood",
    detail="too many TLS records without data",
)
EVENT = AcmeProgress("le: \N{SNOWMAN}")
LINES = ["14:13:21.000Z  le: \N{SNOWMAN}"]


def written(tmp_path: Path, form: LogFormat, *, has_colours: bool = False) -> list[str]:
    """One of everything, through a real writer."""
    path = tmp_path / "log"
    writer = LogWriter(open_log(path), 100)
    log = Log(writer, form, has_colours=has_colours)
    log.request(REQUEST)
    log.event(1_790_000_000.5, HANDSHAKE)
    log.event(1_790_000_000.75, CUT)
    log.event(1_790_000_001.0, EVENT)
    writer.close(10)
    return path.read_text().splitlines()


def test_json_has_a_line_for_each_with_its_time(tmp_path: Path) -> None:
    request, handshake, cut, event = map(json.loads, written(tmp_path, LogFormat.JSON))
    assert (request["path"], request["status"]) == ("/hello", 200)
    assert (handshake["event"], handshake["reason"]) == ("handshake_failed", "timeout")
    assert (cut["event"], cut["reason"]) == ("connection_cut", "tls_record_flood")
    assert event == {"time": "2026-09-21T14:13:21.000Z", **EVENT.as_json()}


def test_pretty_is_for_people(tmp_path: Path) -> None:
    request, handshake, cut, *event = written(tmp_path, LogFormat.PRETTY)
    assert "GET     chat.test/hello" in request
    assert "timeout: too slow" in handshake
    assert "tls_record_flood: too many" in cut
    assert event == LINES
    assert "\x1b" not in request + handshake


def test_lines_of_several_processes_stand_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    logs = [Log(LogWriter(open_log(path), 100), LogFormat.PRETTY, has_colours=False) for _ in range(2)]
    for number in range(6):
        logs[number % 2].event(1_790_000_000.0 + number, EVENT)
        until_found(lambda count=number + 1: len(path.read_text().splitlines()) == count)  # type: ignore[misc]
    assert all(log.close(10) for log in logs)
    assert [line.split()[0] for line in path.read_text().splitlines()] == [
        f"14:13:{20 + number}.000Z" for number in range(6)
    ]
    assert logs[0]._writer.collect_seconds == 0.0


def test_further_lines_of_an_event_stand_under_the_first() -> None:
    lines = PrettyLines(Console(force_terminal=False, width=40)).sentences(1_790_000_001.0, ["one", "  two", "x" * 50])
    blank = " " * len("14:13:21.000Z")
    assert lines.decode() == f"14:13:21.000Z  one\n{blank}    two\n{blank}  {'x' * 50}\n"


def test_colours_are_for_terminals(tmp_path: Path) -> None:
    assert "\x1b[" in written(tmp_path, LogFormat.PRETTY, has_colours=True)[0]


def test_switches_its_place_and_its_form_together(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    log = Log(LogWriter(open_log(first), 100), LogFormat.JSON, has_colours=False)
    log.switch(open_log(second), LogFormat.PRETTY)
    log.event(1_790_000_001.0, EVENT)
    assert log.close(10)
    assert first.read_text() == ""
    assert second.read_text().splitlines() == LINES


def test_what_was_lost_is_told(tmp_path: Path) -> None:
    writer = LogWriter(open_log(tmp_path / "log"), 100)
    log = Log(writer, LogFormat.JSON, has_colours=False)
    assert log.losses() == (0, 0)
    writer.dropped, writer.unwritten, writer.errors = 3, 2, 1
    assert log.losses() == (5, 1)
    writer.close(10)
