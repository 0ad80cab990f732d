"""Log lines: one valid JSON object each, and nothing on a terminal that a client could steer it with."""

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from config.schema import HttpProtocol
from proxy.http.websocket.close import ClosedBy, WebSocketClose
from proxy.observe.events.clients import ConnectionCut, HandshakeFailed
from proxy.observe.logs.access_log import (
    ClientRecord,
    JsonLines,
    PrettyLines,
    RequestRecord,
    TargetRecord,
)
from proxy.tls.handshake.group_choice import HandshakeOutcome

CLIENT = ClientRecord(
    client="203.0.113.5",
    listener="public",
    name="chat.example.org",
    group="X25519MLKEM768",
    outcome=HandshakeOutcome.HYBRID,
    resumed=False,
    protocol=HttpProtocol.HTTP_1,
)
TARGET = TargetRecord(host="chat.example.org", method="GET", path="/api/messages", query=None)
REQUEST = RequestRecord(
    connection=CLIENT,
    target=TARGET,
    time=1_790_000_000.1239,
    status=200,
    request_bytes=12,
    response_bytes=3_456,
    first_byte=0.00123,
    duration=0.0157,
    upstream="http://127.0.0.1:8000",
    route="chat.example.org/",
    request_id="a1b2-1f",
    error=None,
    messages=None,
)
AT = 1_790_000_000.0
HANDSHAKE = HandshakeFailed(
    client="203.0.113.5",
    listener="public",
    name="chat.example.org",
    reason="policy",
    detail="none of the offered groups will do",
    alert="handshake_failure",
    groups=("X25519MLKEM768", "X25519", "0x6399"),
    duration_ms=2.1,
)
CUT = ConnectionCut(
    CLIENT.client,
    CLIENT.listener,
    CLIENT.name,
    CLIENT.group,
    CLIENT.outcome,
    resumed=False,
    protocol="h2",
    reason="tls_broken",
    detail="BAD\x1bMAC",
)

TEXTS = st.text(st.characters(codec=None), max_size=50)
"""Lone surrogates included."""


def parsed(line: bytes) -> Any:
    """Parse a line, which has to be one, in ASCII."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return json.loads(line.decode("ascii"), parse_constant=pytest.fail)


def request(connection: ClientRecord = CLIENT, target: TargetRecord | None = TARGET, **facts: Any) -> RequestRecord:
    """Return a record with other facts, which no formatter has seen."""
    new_target = None if target is None else dataclasses.replace(target)
    record = dataclasses.replace(REQUEST, connection=dataclasses.replace(connection), target=new_target)
    return dataclasses.replace(record, **facts)


def plain_lines() -> PrettyLines:
    """Return a formatter for something without colours."""
    return PrettyLines(Console(force_terminal=False, no_color=True, width=200))


def coloured_lines() -> PrettyLines:
    """Return a formatter for a terminal."""
    return PrettyLines(Console(force_terminal=True, color_system="standard", width=200))


class TestJson:
    """Lines for machines."""

    def test_further_fields_are_those_that_were_asked_for(self) -> None:
        target = TargetRecord("chat.test", "GET", "/", None)
        target.headers = ((b"USER-AGENT", b'a"\n'), (b"User-Agent", b"second"))
        target.fields = ("user_agent", "referer", "tls_cipher")
        connection = dataclasses.replace(CLIENT, cipher="TLS_AES_256_GCM_SHA384")
        line = parsed(JsonLines().request(dataclasses.replace(REQUEST, target=target, connection=connection)))
        assert line["tls_cipher"] == "TLS_AES_256_GCM_SHA384"
        assert (line["user_agent"], line["referer"]) == ('a"\n', None)
        assert "user_agent" not in parsed(JsonLines().request(request()))

    def test_peer_is_named_beside_another_client(self) -> None:
        connection = dataclasses.replace(CLIENT, peer="10.0.0.1")
        line = parsed(JsonLines().request(dataclasses.replace(REQUEST, connection=connection)))
        assert (line["client"], line["peer"], line["listener"]) == (CLIENT.client, "10.0.0.1", CLIENT.listener)
        assert "peer" not in parsed(JsonLines().request(request()))

    def test_websocket_that_opens_says_so(self) -> None:
        assert parsed(JsonLines().request(request(opens=True)))["websocket"] == "open"
        assert "websocket" not in parsed(JsonLines().request(request()))

    def test_bytes_of_the_socket_are_there_if_they_were_counted(self) -> None:
        record = request()
        record.wire = 1_234, 0
        line = parsed(JsonLines().request(record))
        assert (line["wire_bytes_in"], line["wire_bytes_out"]) == (1_234, 0)
        assert "wire_bytes_in" not in parsed(JsonLines().request(request()))

    def test_line_that_stands_for_others_says_for_how_many(self) -> None:
        assert parsed(JsonLines().request(request(sample=100)))["sample"] == 100
        assert "sample" not in parsed(JsonLines().request(request()))

    def test_websocket_tells_how_it_was_closed(self) -> None:
        record = request(status=101, messages=(3, 4), closed=WebSocketClose(4004, ClosedBy.SERVER))
        line = json.loads(JsonLines().request(record))
        assert (line["close"], line["close_class"], line["closed_by"]) == (4004, "application", "server")
        assert "close" not in json.loads(JsonLines().request(request(messages=(3, 4))))

    def test_a_request_has_all_its_facts(self) -> None:
        assert parsed(JsonLines().request(REQUEST)) == {
            "time": "2026-09-21T14:13:20.123Z",
            "client": "203.0.113.5",
            "listener": "public",
            "name": "chat.example.org",
            "host": "chat.example.org",
            "method": "GET",
            "path": "/api/messages",
            "status": 200,
            "request_bytes": 12,
            "response_bytes": 3_456,
            "first_byte_ms": 1.23,
            "duration_ms": 15.7,
            "upstream": "http://127.0.0.1:8000",
            "route": "chat.example.org/",
            "group": "X25519MLKEM768",
            "outcome": "hybrid",
            "resumed": False,
            "protocol": "http/1.1",
            "request_id": "a1b2-1f",
        }

    def test_some_requests_have_more(self) -> None:
        record = request(
            dataclasses.replace(CLIENT, resumed=True, protocol=HttpProtocol.HTTP_2),
            dataclasses.replace(TARGET, query="a=b"),
            messages=(3, 4),
            error="gone",
        )
        line = parsed(JsonLines().request(record))
        assert [line[key] for key in ("resumed", "protocol", "query", "messages_in", "messages_out", "error")] == [
            True,
            "h2",
            "a=b",
            3,
            4,
            "gone",
        ]

    def test_what_is_not_known_is_null(self) -> None:
        record = request(
            dataclasses.replace(CLIENT, name=None), None, status=400, upstream=None, route=None, request_id=None
        )
        line = parsed(JsonLines().request(record))
        unknown = {"name", "host", "method", "path", "upstream", "route", "request_id"}
        assert {key for key, value in line.items() if value is None} == unknown

    def test_what_several_requests_share_is_written_the_same_each_time(self) -> None:
        lines = JsonLines()
        record = request()
        first, again = lines.request(record), lines.request(dataclasses.replace(record, status=404))
        assert again == first.replace(b"200", b"404")
        other = request(dataclasses.replace(CLIENT, client="203.0.113.6"), dataclasses.replace(TARGET, path="/other"))
        assert parsed(lines.request(other))["client"] == "203.0.113.6"
        assert parsed(lines.request(other))["path"] == "/other"
        for target in (
            TargetRecord(None, "GET", "/", None),
            TargetRecord("chat.test", "GET", "/", None),
            TargetRecord("chat.test", "POST", "/", None),
        ):
            line = parsed(lines.request(request(target=target)))
            assert (line["host"], line["method"]) == (target.host, target.method)
        for upstream, route in (("a", "x"), ("a", "y"), (None, None), ("b", "y"), ("a", "x")):
            line = parsed(lines.request(request(upstream=upstream, route=route)))
            assert (line["upstream"], line["route"]) == (upstream, route)

    def test_a_failed_handshake_has_its_reason(self) -> None:
        assert parsed(JsonLines().event(AT, HANDSHAKE)) == {
            "time": "2026-09-21T14:13:20.000Z",
            "event": "handshake_failed",
            "client": "203.0.113.5",
            "listener": "public",
            "name": "chat.example.org",
            "reason": "policy",
            "detail": "none of the offered groups will do",
            "alert": "handshake_failure",
            "groups": ["X25519MLKEM768", "X25519", "0x6399"],
            "duration_ms": 2.1,
        }

    def test_a_connection_that_was_cut_has_its_reason(self) -> None:
        assert parsed(JsonLines().event(AT, CUT)) == {
            "time": "2026-09-21T14:13:20.000Z",
            "event": "connection_cut",
            "client": "203.0.113.5",
            "listener": "public",
            "name": "chat.example.org",
            "group": "X25519MLKEM768",
            "outcome": "hybrid",
            "resumed": False,
            "protocol": "h2",
            "reason": "tls_broken",
            "detail": "BAD\x1bMAC",
        }

    def test_a_handshake_without_a_hello_is_logged(self) -> None:
        record = dataclasses.replace(HANDSHAKE, name=None, alert=None, groups=())
        line = parsed(JsonLines().event(AT, record))
        assert (line["name"], line["alert"], line["groups"]) == (None, None, [])

    def test_long_texts_are_cut(self) -> None:
        target = dataclasses.replace(TARGET, path="/" + "x" * 1_023, query="x" * 1_025)
        line = parsed(JsonLines().request(request(target=target)))
        assert line["path"] == "/" + "x" * 1_023
        assert line["query"] == "x" * 1_024 + "..."
        record = dataclasses.replace(HANDSHAKE, detail="x" * 1_025)
        assert parsed(JsonLines().event(AT, record))["detail"] == "x" * 1_024 + "..."

    @given(TEXTS, TEXTS, TEXTS)
    def test_any_text_is_valid_json(self, text: str, other: str, third: str) -> None:
        client = {"client": text, "listener": other, "name": third, "group": text, "outcome": other, "protocol": third}
        target = {"host": text, "method": other, "path": third, "query": text}
        texts = {"upstream": other, "route": third, "request_id": text, "error": other}
        record = request(ClientRecord(**client, resumed=True), TargetRecord(**target), **texts)
        line = parsed(JsonLines().request(record))
        texts |= client | target
        assert {key: line[key] for key in texts} == texts
        texts = {"client": text, "listener": other, "name": third, "reason": text, "detail": other, "alert": third}
        handshake = HandshakeFailed(**texts, groups=(), duration_ms=0.0)
        line = parsed(JsonLines().event(AT, handshake))
        assert {key: line[key] for key in texts} == texts

    def test_the_time_goes_on(self) -> None:
        lines = JsonLines()
        times = (0.0, 0.9999, 1.0, 1_790_000_000.5, 1_790_000_000.25, 1_790_000_001.0)
        assert [parsed(lines.request(request(time=time)))["time"] for time in times] == [
            "1970-01-01T00:00:00.000Z",
            "1970-01-01T00:00:00.999Z",
            "1970-01-01T00:00:01.000Z",
            "2026-09-21T14:13:20.500Z",
            "2026-09-21T14:13:20.250Z",
            "2026-09-21T14:13:21.000Z",
        ]


class TestPretty:
    """Lines for people."""

    def test_a_request_is_one_line(self) -> None:
        assert plain_lines().request(REQUEST).decode() == (
            "14:13:20.123Z  200  GET     chat.example.org/api/messages                                     15.7 ms"
            "    3456 B  X25519MLKEM768  http/1.1  203.0.113.5\n"
        )

    def test_requests_are_aligned(self) -> None:
        records = [
            REQUEST,
            request(target=TargetRecord("a.example", "OPTIONS", "/" + "x" * 200, None), response_bytes=123_456_789),
            request(target=None, response_bytes=10_000, duration=3_600.0),
        ]
        lines = [plain_lines().request(record).decode() for record in records]
        assert len({line.index("X25519MLKEM768") for line in lines}) == 1
        assert len(set(map(len, lines))) == 1
        for line, size in zip(lines, ("3456 B", "123 MB", "10 kB"), strict=True):
            assert size in line

    def test_what_only_some_requests_have_is_at_the_end(self) -> None:
        client = dataclasses.replace(CLIENT, resumed=True, protocol=HttpProtocol.HTTP_2)
        record = request(client, messages=(3, 4), closed=WebSocketClose(4004, ClosedBy.SERVER), error="gone")
        line = plain_lines().request(record).decode()
        assert line.endswith(
            "X25519MLKEM768  h2  resumed  203.0.113.5  messages 3 in, 4 out  closed by the server (4004)  gone\n"
        )

    def test_a_connection_that_was_cut_says_why_and_whose_it_was(self) -> None:
        line = plain_lines().event(AT, CUT).decode()
        assert "TLS  connection closed, tls_broken: BAD\\x1bMAC; client 203.0.113.5" in line

    def test_a_failed_handshake_says_why_and_what_was_offered(self) -> None:
        assert plain_lines().event(AT, HANDSHAKE).decode() == (
            "14:13:20.000Z  TLS  handshake failed, policy: none of the offered groups will do (alert handshake_failure); "
            "client 203.0.113.5, which asked for chat.example.org and offered X25519MLKEM768, X25519, 0x6399\n"
        )
        bare = dataclasses.replace(HANDSHAKE, name=None, alert=None, groups=())
        assert plain_lines().event(AT, bare).decode() == (
            "14:13:20.000Z  TLS  handshake failed, policy: none of the offered groups will do; client 203.0.113.5\n"
        )

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(101, "hybrid"), (200, "hybrid_after_retry"), (302, "client_cannot"), (404, "x"), (502, "")],
    )
    def test_colours_change_nothing_else(self, status: int, outcome: str) -> None:
        record = request(dataclasses.replace(CLIENT, outcome=outcome), status=status, error="[bold]x[/bold] :smile:")
        coloured = coloured_lines().request(record).decode()
        assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain_lines().request(record).decode()

    def test_bad_news_look_different(self) -> None:
        styles = {
            coloured_lines().request(request(status=status)).decode().partition(str(status))[0]
            for status in (204, 404, 504)
        }
        assert len(styles) == 3
        groups = {
            coloured_lines()
            .request(request(dataclasses.replace(CLIENT, outcome=outcome)))
            .decode()
            .partition("X25519")[0]
            for outcome in HandshakeOutcome
        }
        assert len(groups) == 2

    @given(TEXTS, TEXTS)
    def test_no_text_steers_the_terminal(self, text: str, other: str) -> None:
        record = request(target=TargetRecord(text, text, other, None), error=other, messages=(1, 2))
        handshake = dataclasses.replace(HANDSHAKE, name=text, reason=other, detail=text, alert=other, client=text)
        for line in (plain_lines().request(record), plain_lines().event(AT, handshake)):
            decoded = line.decode()
            assert decoded.endswith("\n")
            assert decoded[:-1].isprintable()

    def test_long_texts_are_cut(self) -> None:
        target = dataclasses.replace(TARGET, path="/" + "x" * 5_000)
        line = plain_lines().request(request(target=target, error="y" * 5_000)).decode()
        assert "/" + "x" * 40 + "... " in line
        assert line.endswith("y" * 1_021 + "...\n")
        assert len(plain_lines().event(AT, dataclasses.replace(HANDSHAKE, detail="z" * 50_000))) < 5_000


@pytest.mark.parametrize("subject", ['CN=bot 1,O="Chat"', "CN=\x1b[2J\n\u202e", "CN=" + "x" * 2_000])
def test_subject_of_a_certificate_is_logged_where_there_is_one(subject: str) -> None:
    connection = ClientRecord(
        "192.0.2.1", "public", None, "X25519", "hybrid", resumed=False, protocol="h2", subject=subject
    )
    record = dataclasses.replace(REQUEST, connection=connection)
    shown = parsed(JsonLines().request(record))["subject"]
    assert shown == subject or shown.startswith(subject[:1_024])
    line = PrettyLines(Console(force_terminal=False, width=500)).request(record)
    assert b"CN=" in line
    assert b"\x1b" not in line
    assert line.count(b"\n") == 1
    assert "subject" not in parsed(JsonLines().request(REQUEST))
