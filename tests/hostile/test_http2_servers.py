"""Hostile servers of HTTP/2 behind the running program: 502 or a cut response, and nothing else.

All attacks run against one program, with an honest request to another server after each. What each attack does to its
connection is in `tests/proxy/upstream/http2/test_hostile_servers.py`.
"""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import requests

from tests.certificates import Authority
from tests.hostile import http2_frames as h2
from tests.hostile.http2_servers import ATTACKS, OK, Attack, Outcome
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import Peer, answering, scripted
from tests.waiting import until_found

HONEST = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhonest"
MOST_GROWTH = 30_000_000
"""Bytes of memory that all attacks together may leave or need: the largest one sends 2 MB."""
# `requests` takes an interim response for the answer.
PLAYED = {name: attack for name, attack in ATTACKS.items() if name != "flood_interim_responses"}
OUTCOMES = {
    Outcome.CONNECTION_ENDS: {"502", "cut"},
    Outcome.STREAM_ENDS: {"502", "cut"},
    Outcome.ANSWERED: {"200"},
    Outcome.ANSWERED_LAST: {"200"},
}


class HostileServer:
    """It answers one request by an attack, and later ones honestly."""

    def __init__(self) -> None:
        self.attack: Attack | None = None
        self.connections = 0
        self._open: list[Peer] = []
        self._closed = threading.Condition()

    def play(self, peer: Peer) -> None:
        """Serve one connection until the proxy, or the test, ends it."""
        self.connections += 1
        self._open.append(peer)
        try:
            with contextlib.suppress(OSError, EOFError):
                peer.send(h2.settings() + h2.SETTINGS_ACK)
                self._serve(peer)
        finally:
            with self._closed:
                self._open.remove(peer)
                self._closed.notify_all()

    def _serve(self, peer: Peer) -> None:
        assert peer.read(len(h2.PREFACE)) == h2.PREFACE
        received = bytearray()
        while data := peer.read_some():
            received += data
            for frame in h2.frames_of(received):
                if frame.kind == h2.HEADERS:
                    attack, self.attack = self.attack, None
                    peer.send(h2.frame(h2.HEADERS, OK, h2.WHOLE, frame.stream) if attack is None else attack.octets)

    def end_connections(self) -> None:
        """End all, and wait for the proxy to do so, too: the next request needs a new one."""
        for peer in list(self._open):
            with contextlib.suppress(OSError):
                peer.end()
        with self._closed:
            assert self._closed.wait_for(lambda: not self._open, timeout=10)


@pytest.fixture(scope="module")
def hostile() -> HostileServer:
    """The server of all tests."""
    return HostileServer()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, hostile: HostileServer) -> Iterator[Site]:
    """A proxy in front of it, and of an honest server."""
    directory = tmp_path_factory.mktemp("servers")
    authority = Authority(directory)
    with scripted(hostile.play) as evil, scripted(answering(*[HONEST] * 1_000)) as honest:
        upstreams = {
            "evil": Upstream(
                (evil.url,), 'http = "h2"\nfirst_byte_timeout = "5s"\nconnections = 2\nwait_timeout = "300ms"\n'
            ),
            "honest": Upstream((honest.url,)),
        }
        with site(directory, authority, authority.issue("localhost"), upstreams) as proxy:
            yield proxy


def outcome_of(client: requests.Session, url: str) -> str:
    """The status of a request; `cut` if its body ends early."""
    try:
        return str(client.get(url, timeout=20).status_code)
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        return "cut"


def test_no_attack_goes_beyond_its_request(running: Site, hostile: HostileServer) -> None:
    workers = running.worker_pids
    with running.session() as client:
        assert outcome_of(client, running.url("/honest")) == "200"
        before = running.resident_bytes
        running.forget_peak()
        for name, attack in PLAYED.items():
            hostile.attack = attack
            assert outcome_of(client, running.url(f"/evil/{name}")) in OUTCOMES[attack.outcome], name
            assert hostile.attack is None, name
            assert outcome_of(client, running.url("/honest")) == "200", name
            if attack.outcome in (Outcome.STREAM_ENDS, Outcome.ANSWERED):
                connections = hostile.connections
                assert outcome_of(client, running.url("/evil/next")) == "200", name
                assert hostile.connections == connections, name
            hostile.end_connections()
        assert outcome_of(client, running.url("/evil/last")) == "200"
    assert running.worker_pids == workers
    assert running.peak_bytes - before < MOST_GROWTH


def test_a_server_that_refuses_everything_or_leaves_at_once_is_asked_a_few_times(
    running: Site, hostile: HostileServer
) -> None:
    def totals() -> dict[str, float]:
        found = running.admin.metrics()
        return {
            name: sum(value for (one, _), value in found.items() if one == f"plexigate_http2_upstream_{name}")
            for name in ("requests_total", "goaways_total", "refused_streams_total", "streams_open")
        }

    before = totals()
    with running.session() as client:
        hostile.end_connections()
        hostile.attack = Attack(h2.rst(1, h2.REFUSED_STREAM), Outcome.ANSWERED)
        assert outcome_of(client, running.url("/evil/refused")) == "200"
        hostile.end_connections()
        hostile.attack = Attack(h2.go_away(0), Outcome.ANSWERED)
        assert outcome_of(client, running.url("/evil/left")) == "200"
    expected = {"requests_total": 2, "goaways_total": 1, "refused_streams_total": 2, "streams_open": 0}
    until_found(lambda: {name: value - before[name] for name, value in totals().items()} == expected or None)
