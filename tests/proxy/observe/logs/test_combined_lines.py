"""The combined format of Apache: one request, one line, whatever a client sends."""

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.events.clients import ConnectionCut
from proxy.observe.logs.access_log import RequestRecord, TargetRecord
from proxy.observe.logs.combined_lines import CombinedLines
from tests.proxy.observe.counts.counting import REQUEST

CUT = ConnectionCut(
    "192.0.2.7", "public", None, "X25519", "hybrid", resumed=False, protocol="h2", reason="tls_broken", detail="BAD"
)
# As GoAccess and others read it: %h %^[%d:%t %^] "%r" %s %b "%R" "%u"
LINE = re.compile(
    rb'(\S+) - - \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\n'
)


def record(*headers: tuple[bytes, bytes], path: str = "/a", query: str | None = None, **facts: Any) -> RequestRecord:
    target = TargetRecord("chat.test", "GET", path, query)
    target.headers = headers
    return dataclasses.replace(REQUEST, target=target, **facts)


def test_line_of_a_request() -> None:
    headers = ((b"User-Agent", b"curl/8"), (b"referer", b"https://chat.test/"))
    lines = CombinedLines()
    for _ in range(2):
        line = lines.request(record(*headers, query="b=c", status=200, response_bytes=5, time=1_780_315_200.25))
        assert line == (
            REQUEST.connection.client.encode()
            + b' - - [01/Jun/2026:12:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 5 "https://chat.test/" "curl/8"\n'
        )


def test_what_is_not_there_is_a_hyphen() -> None:
    found = LINE.fullmatch(CombinedLines().request(record((b"User-Agent", b""), response_bytes=0)))
    assert found is not None
    assert found.groups()[4:] == (b"-", b"-", b"-")


@pytest.mark.parametrize(("protocol", "version"), [("h2", b"HTTP/2.0"), ("h3", b"HTTP/3.0"), ("http/1.1", b"HTTP/1.1")])
def test_version_is_that_of_the_client(protocol: str, version: bytes) -> None:
    connection = dataclasses.replace(REQUEST.connection, protocol=protocol)
    assert b'"GET /a %b"' % version in CombinedLines().request(record(connection=connection))


def test_connection_without_a_request_has_no_line() -> None:
    assert CombinedLines().request(dataclasses.replace(REQUEST, target=None)) == b""


def test_event_is_a_line_of_json() -> None:
    line = json.loads(CombinedLines().event(1_780_315_200.25, CUT))
    assert (line["time"], line["reason"]) == ("2026-06-01T12:00:00.250Z", CUT.reason)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (b'a" 200 5 "x', b'a\\" 200 5 \\"x'),
        (b"back\\slash", b"back\\\\slash"),
        (b"line\r\nend\x1b[2J\x00", b"line\\x0d\\x0aend\\x1b[2J\\x00"),
        (b"caf\xe9\x7f", b"caf\\xe9\\x7f"),
        (b"x" * 2_000, b"x" * 1_024 + b"..."),
    ],
)
def test_text_of_a_client_cannot_leave_its_column(sent: bytes, shown: bytes) -> None:
    found = LINE.fullmatch(CombinedLines().request(record((b"User-Agent", sent))))
    assert found is not None
    assert found[7] == shown


@given(st.binary(max_size=60), st.text(max_size=40), st.text(max_size=20))
def test_every_request_is_one_line_of_the_format(agent: bytes, path: str, query: str) -> None:
    line = CombinedLines().request(record((b"User-Agent", agent), (b"Referer", agent), path=path, query=query))
    assert LINE.fullmatch(line)
