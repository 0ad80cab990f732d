"""Servers that reset fresh connections before a byte of their answer: who may be asked once more is, and nobody else."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.integration.stage import Site, Upstream, site
from tests.integration.upstreams import OK, Peer, Script, answering, scripted

REQUESTS = 40
WEBSOCKET = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""Its handshake is a GET, and here its server declines."""


def reset_at_once(peer: Peer) -> None:
    """Reset what was accepted."""
    peer.reset()


def reset_after_request(peer: Peer) -> None:
    """Take the request, and reset instead of an answer."""
    peer.read_head()
    peer.reset()


def half_an_answer(peer: Peer) -> None:
    """Reset in the middle of the head."""
    peer.read_head()
    peer.send(OK[:12])
    peer.reset()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the servers' sockets are."""
    return tmp_path_factory.mktemp("resets")


@pytest.fixture(scope="module")
def proxy(directory: Path) -> Iterator[Site]:
    """A proxy with a pair of servers, and with one alone. Nobody is ejected: each request may meet the bad one."""
    bad, good = f"unix:{directory / 'bad.sock'}", f"unix:{directory / 'good.sock'}"
    settings = 'balance = "round-robin"\nejection = { most_percent = 0 }'
    authority = Authority(directory)
    upstreams = {"pair": Upstream((bad, good), settings), "alone": Upstream((bad,), settings)}
    with site(directory, authority, authority.issue("localhost"), upstreams) as running:
        yield running


@pytest.mark.parametrize("script", [reset_at_once, reset_after_request])
def test_idempotent_requests_are_answered_by_the_other_server(proxy: Site, directory: Path, script: Script) -> None:
    with ExitStack() as stack:
        bad = stack.enter_context(scripted(script, directory / "bad.sock"))
        stack.enter_context(scripted(answering(*[OK] * REQUESTS), directory / "good.sock"))
        session = stack.enter_context(proxy.session())
        answers = [
            session.request(method, proxy.url("/pair/x"), data=body, headers=fields).status_code
            for method, body, fields in (
                ("GET", None, None),
                ("PUT", b"x", None),
                ("DELETE", None, None),
                ("GET", None, WEBSOCKET),
                ("GET", None, WEBSOCKET),
            )
            * (REQUESTS // 5)
        ]
        assert answers == [200] * REQUESTS
        assert len(bad.peers) >= REQUESTS // 4, "it was met"


def test_requests_that_may_have_an_effect_twice_are_sent_once(proxy: Site, directory: Path) -> None:
    with ExitStack() as stack:
        bad = stack.enter_context(scripted(reset_after_request, directory / "bad.sock"))
        good = stack.enter_context(scripted(answering(*[OK] * REQUESTS), directory / "good.sock"))
        session = stack.enter_context(proxy.session())
        answers = [session.post(proxy.url("/pair/x"), data=b"x").status_code for _ in range(REQUESTS)]
        assert answers.count(502) == len(bad.peers) > 0
        assert answers.count(200) == REQUESTS - len(bad.peers)
        assert len(good.peers) >= 1


@pytest.mark.parametrize(("script", "asked"), [(reset_after_request, 2), (half_an_answer, 1)])
def test_a_single_server_is_asked_once_more_unless_it_had_begun(
    proxy: Site, directory: Path, script: Script, asked: int
) -> None:
    with scripted(script, directory / "bad.sock") as bad, proxy.session() as session:
        assert session.get(proxy.url("/alone/x")).status_code == 502
        assert len(bad.peers) == asked
