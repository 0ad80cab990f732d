"""What `[payload]` and the routes say about each other."""

from pathlib import Path

import pytest

from config.loading.loader import survey

REST = """
[listener.public]
bind = "127.0.0.1:443"
[identity.chat]
names = ["chat.test"]
certificate = "chat.pem"
key = "chat.key"
[upstream.chat]
servers = ["http://127.0.0.1:1"]
[[route]]
host = "chat.test"
upstream = "chat"
"""
RING = "[payload.ring.chat]\n"
SESSIONS = "[payload.sessions]\n"


def found(directory: Path, route: str, tables: str = "") -> list[tuple[str, str]]:
    file = directory / "p.toml"
    file.write_text(f"{tables}{REST}{route}\n")
    return [(problem.key, problem.found) for problem in survey(file).problems]


@pytest.mark.parametrize(
    ("route", "tables"),
    [
        ("", ""),
        ('payload = "require"\npayload_ring = "chat"', RING),
        ('payload = "accept"\npayload_sessions = true\npayload_websocket = true', SESSIONS),
        # what was refused is not missing
        ('payload = "accept"\npayload_ring = "chat"', RING + "overlap = 3\n"),
    ],
)
def test_what_fits_is_no_problem(tmp_path: Path, route: str, tables: str) -> None:
    assert found(tmp_path, route, tables) == []


@pytest.mark.parametrize(
    ("route", "tables", "key", "words"),
    [
        ('payload = "require"', "", "route[0].payload", '"require" without a key'),
        ('payload = "require"\npayload_ring = "other"', RING, "route[0].payload_ring", '"other"'),
        ('payload = "accept"\npayload_sessions = true', "", "route[0].payload_sessions", "true"),
        ('payload_ring = "chat"', RING, "route[0].payload_ring", "payload_ring on a route without payload encryption"),
        ("payload_sessions = true", SESSIONS, "route[0].payload_sessions", "payload_sessions on a route"),
        ("payload_websocket = true", "", "route[0].payload_websocket", "payload_websocket on a route"),
        ('payload_origins = ["https://a.test"]', "", "route[0].payload_origins", "payload_origins on a route"),
        ("", RING, "payload.ring.chat", "a ring that no route uses"),
    ],
)
def test_what_does_not_fit_is_said_where_it_stands(
    tmp_path: Path, route: str, tables: str, key: str, words: str
) -> None:
    problems = dict(found(tmp_path, route, tables))
    assert words in problems[key]


SEALED = 'payload = "accept"\npayload_ring = "chat"\n'


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ('request_headers = { set = { Accept-Encoding = "gzip" } }', "request_headers.set.Accept-Encoding"),
        # gateway interfaces take it for the same name
        ('request_headers = { add = { accept_encoding = "gzip" } }', "request_headers.add.accept_encoding"),
        ('request_headers = { set = { Range = "bytes=0-1" } }', "request_headers.set.Range"),
        ('request_headers = { set = { If-Range = "x" } }', "request_headers.set.If-Range"),
        ('response_headers = { set = { Cache-Control = "max-age=9" } }', "response_headers.set.Cache-Control"),
        ('response_headers = { remove = ["X-A", "cache-control"] }', "response_headers.remove[1]"),
        ('response_headers = { remove = ["Vary"] }', "response_headers.remove[0]"),
        ('response_headers = { set = { Vary = "Accept" } }', "response_headers.set.Vary"),
        ('response_headers = { add = { Accept-Ranges = "bytes" } }', "response_headers.add.Accept-Ranges"),
        ('response_headers = { set = { Content-Digest = "x" } }', "response_headers.set.Content-Digest"),
        (
            'response_headers = { set = { Access-Control-Expose-Headers = "X-A" } }',
            "response_headers.set.Access-Control-Expose-Headers",
        ),
    ],
)
def test_fields_that_the_encryption_needs_cannot_be_changed(tmp_path: Path, fields: str, key: str) -> None:
    ((place, what),) = found(tmp_path, SEALED + fields, RING)
    assert place == f"route[0].{key}"
    assert "on a route with payload encryption" in what
    assert found(tmp_path, fields) == []


@pytest.mark.parametrize(
    "fields",
    [
        'request_headers = { remove = ["Accept-Encoding", "Range"], set = { Content-Type = "text/plain" } }',
        'response_headers = { set = { Cache-Control = "private, No-Store", Content-Type = "text/plain" } }',
        'response_headers = { add = { Vary = "Accept", Access-Control-Expose-Headers = "X-A" } }',
        'response_headers = { remove = ["ETag", "Accept-Ranges", "Content-Digest"] }',
    ],
)
def test_other_fields_can_be_changed(tmp_path: Path, fields: str) -> None:
    assert found(tmp_path, SEALED + fields, RING) == []


def test_ring_that_was_left_out_as_faulty_is_not_missing(tmp_path: Path) -> None:
    problems = found(tmp_path, 'payload = "require"\npayload_ring = "chat"', RING + "overlap = 0\n")
    assert [key for key, _ in problems] == ["payload.ring.chat.overlap"]
    problems = found(tmp_path, 'payload = "require"\npayload_sessions = true', SESSIONS + "suites = []\n")
    assert [key for key, _ in problems] == ["payload.sessions.suites"]
