"""What `[payload]` and the routes say about each other."""

from pathlib import Path

import pytest

from config.loader import survey

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


def test_ring_that_was_left_out_as_faulty_is_not_missing(tmp_path: Path) -> None:
    problems = found(tmp_path, 'payload = "require"\npayload_ring = "chat"', RING + "overlap = 0\n")
    assert [key for key, _ in problems] == ["payload.ring.chat.overlap"]
    problems = found(tmp_path, 'payload = "require"\npayload_sessions = true', SESSIONS + "suites = []\n")
    assert [key for key, _ in problems] == ["payload.sessions.suites"]
