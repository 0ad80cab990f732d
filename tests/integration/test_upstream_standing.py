"""Servers that are down, ejected, draining or coming back: who gets requests, who is told what, and how soon."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from config.loading.loader import load
from proxy.building.health import health_checks
from proxy.upstream.health.checks import HealthChecker
from tests.certificates import Authority, CertificateFiles
from tests.hostile.client import Client, End
from tests.hostile.strict_frames import CLOSE, TEXT, Frame, FrameReader
from tests.integration.inside import Inside, inside
from tests.integration.stage import Upstream, request, site, write_configuration
from tests.integration.upstreams import OK, WAIT_SECONDS, Backend, Peer, backends, scripted
from tests.ports import lasting_port

pytestmark = pytest.mark.paced

ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
EJECTION = "[upstream.chat.ejection]\n"


@pytest.fixture
def three() -> Iterator[list[Backend]]:
    """Three servers."""
    with backends(3) as made:
        yield made


class Stage:
    """Starts proxies in front of the servers of a test."""

    def __init__(self, directory: Path, authority: Authority, localhost: CertificateFiles) -> None:
        self.directory = directory
        self._authority = authority
        self._localhost = localhost

    def configuration(self, urls: Sequence[str], settings: str = "") -> Path:
        """Write one."""
        return write_configuration(self.directory, self._localhost, {"chat": Upstream(tuple(urls), settings)})

    @contextmanager
    def proxy(self, urls: Sequence[str], settings: str = "") -> Iterator[Inside]:
        """Run one in this process."""
        with inside(self.configuration(urls, settings), self._authority.path) as running:
            yield running


@pytest.fixture
def stage(tmp_path: Path, authority: Authority, localhost: CertificateFiles) -> Stage:
    return Stage(tmp_path, authority, localhost)


def ask(proxy: Inside, count: int, method: str = "GET") -> list[int]:
    """Ask that many times; answers the statuses."""
    with proxy.session() as session:
        return [session.request(method, proxy.url("/chat/x"), timeout=WAIT_SECONDS).status_code for _ in range(count)]


def counts(servers: Sequence[Backend]) -> list[int]:
    """How many requests each has got since the last look."""
    found = [one.requests for one in servers]
    for one in servers:
        one.requests = 0
    return found


class TestEjection:
    """Passive: by what became of requests."""

    SETTINGS = (
        EJECTION + 'connect_failures = 3\nbase_time = "300ms"\nmax_time = "1m"\nerrors = 4\nerrors_within = "30s"\n'
    )

    def test_server_that_is_not_there_is_left_out_longer_each_time(self, stage: Stage) -> None:
        with (
            backends(1) as (there,),
            stage.proxy([f"http://127.0.0.1:{lasting_port()}", there.url], self.SETTINGS) as proxy,
        ):

            def dead() -> tuple[int, int, str]:
                figures = proxy.call(lambda: proxy.upstream("chat").statistics()[0])
                return figures["failures"], figures["ejections"], figures["state"]

            assert ask(proxy, 10, "POST") == [200] * 10, "no client hears of it"
            assert dead()[:2] == (3, 1)
            for number, least_seconds in ((1, 0.6), (2, 1.2)):
                proxy.until(lambda: dead()[2] == "up")
                began = time.monotonic()
                assert ask(proxy, 4, "POST") == [200] * 4
                assert dead()[:2] == (3 + number, 1 + number), "after its time, one failure is enough"
                proxy.until(lambda: dead()[2] == "up")
                assert time.monotonic() - began > least_seconds - 0.01, "uvloop counts whole milliseconds"

    def test_burst_of_errors_ejects_and_a_success_between_them_does_not_help(
        self, stage: Stage, three: list[Backend]
    ) -> None:
        settings = self.SETTINGS.replace('base_time = "300ms"', 'base_time = "1m"')
        with stage.proxy([one.url for one in three], settings) as proxy:
            three[0].status = 503
            statuses = ask(proxy, 30)
            assert statuses.count(503) == 4, "clients get the server's own answer"
            assert proxy.states("chat") == ["ejected", "up", "up"]
            counts(three)
            assert ask(proxy, 10) == [200] * 10
            assert counts(three)[0] == 0

    def test_never_everyone(self, stage: Stage, three: list[Backend]) -> None:
        settings = self.SETTINGS.replace('base_time = "300ms"', 'base_time = "1m"')
        with stage.proxy([one.url for one in three], settings) as proxy:
            for one in three:
                one.status = 500
            ask(proxy, 30)
            assert proxy.states("chat").count("ejected") >= 2
            counts(three)
            assert ask(proxy, 12) == [500] * 12, "500 of the servers, not 503 of ours"
            assert counts(three) == [4, 4, 4]
            for one in three:
                one.status = 200
            assert ask(proxy, 3) == [200] * 3


class TestAllDown:
    """503 with Retry-After, at once."""

    SETTINGS = '[upstream.chat.health]\npath = "/healthz"\ninterval = "4s"\nrise = 3\n'

    def test_nobody_is_dialled_and_nobody_waits(self, stage: Stage, three: list[Backend]) -> None:
        urls = [one.url for one in three]
        with stage.proxy(urls, self.SETTINGS) as proxy, proxy.session() as session:
            for url in urls:
                proxy.call(partial(proxy.upstream("chat").apply_health, url, is_up=False))
            began = time.monotonic()
            for method in ("GET", "POST"):
                refused = session.request(method, proxy.url("/chat/x"), data=b"x" if method == "POST" else None)
                assert (refused.status_code, refused.headers["Retry-After"]) == (503, "12")
                assert refused.headers["Content-Type"] == "application/problem+json"
                assert not any(url in refused.text for url in urls)
            assert time.monotonic() - began < 3.0, "less than until the next question about health"
            assert counts(three) == [0, 0, 0]
            assert proxy.records[-1].error == "no server of the upstream takes requests now"
            proxy.call(partial(proxy.upstream("chat").apply_health, urls[1], is_up=True))
            assert session.get(proxy.url("/chat/x")).text == urls[1]

    def test_drained_ones_and_a_single_one_too(self, stage: Stage) -> None:
        with backends(1) as (only,), stage.proxy([only.url]) as proxy, proxy.session() as session:
            proxy.call(lambda: proxy.upstream("chat").drain(only.url, 60.0))
            refused = session.get(proxy.url("/chat/x"))
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "10")
            assert only.requests == 0
            proxy.call(lambda: proxy.upstream("chat").undrain(only.url))
            assert session.get(proxy.url("/chat/x")).status_code == 200


class _Told:
    """Hears of checks (`health.Herald`), and tells the proxy."""

    def __init__(self, proxy: Inside) -> None:
        self._proxy = proxy

    def why_not_ask(self) -> str | None:
        """Nothing does."""
        return None

    def found(self, upstream: str, server: str, *, is_up: bool) -> None:
        """Tell it."""
        self._proxy.upstream(upstream).apply_health(server, is_up)

    def not_made(self, upstream: str, server: str, reason: str) -> None:
        """There is no shortage here."""
        raise AssertionError(upstream, server, reason)

    def made(self, upstream: str, server: str) -> None:
        """As it should be."""


class Checking:
    """The checks of a configuration in the proxy's own loop, where another process would make them; the test has their clock."""

    def __init__(self, proxy: Inside, configuration: Path) -> None:
        self._proxy = proxy
        self._made = threading.Semaphore(0)
        self._next: list[asyncio.Event] = []
        self.number = 0
        checks = health_checks((given := load(configuration)).file, given.config.upstream)
        self._count = len(checks)

        async def sleep(_: float) -> None:
            event = asyncio.Event()
            self._next.append(event)
            self._made.release()
            await event.wait()

        checker = HealthChecker(checks, _Told(proxy), {}, sleep)
        self._future = asyncio.run_coroutine_threadsafe(checker.run(), proxy.loop)
        self._await()

    def _await(self) -> None:
        for _ in range(self._count):
            assert self._made.acquire(timeout=WAIT_SECONDS)

    def step(self) -> None:
        """Have each server checked once more."""

        def wake() -> None:
            events, self._next = self._next, []
            for event in events:
                event.set()

        self._proxy.call(wake)
        self._await()

    def stop(self) -> None:
        """Check no more."""
        self._future.cancel()


class TestHealth:
    """Active: by asking."""

    SETTINGS = '[upstream.chat.health]\npath = "/healthz"\nrise = 2\nfall = 3\n'

    def test_server_is_taken_out_after_fall_and_comes_back_after_rise(self, stage: Stage, three: list[Backend]) -> None:
        urls = [one.url for one in three]
        with stage.proxy(urls, self.SETTINGS) as proxy:
            checking = Checking(proxy, stage.configuration(urls, self.SETTINGS))
            assert [one.checks for one in three] == [1, 1, 1]
            three[1].health = 500
            for _ in range(2):
                checking.step()
            ask(proxy, 6)
            assert counts(three) == [2, 2, 2], "two bad answers are not enough"
            checking.step()
            assert proxy.states("chat") == ["up", "down", "up"]
            ask(proxy, 6)
            assert counts(three) == [3, 0, 3]
            three[1].health = 200
            checking.step()
            ask(proxy, 6)
            assert counts(three) == [3, 0, 3], "nor is one good one"
            checking.step()
            assert proxy.states("chat") == ["up", "up", "up"]
            ask(proxy, 6)
            assert counts(three) == [2, 2, 2]
            checking.stop()


def test_server_that_comes_back_gets_little_at_first(stage: Stage) -> None:
    with backends(2) as two, stage.proxy([one.url for one in two], 'slow_start = "1h"') as proxy:
        for is_up in (False, True):
            proxy.call(partial(proxy.upstream("chat").apply_health, two[0].url, is_up=is_up))
        assert proxy.states("chat") == ["slow-start", "up"]
        ask(proxy, 110)
        assert counts(two) == [pytest.approx(10, abs=1), pytest.approx(100, abs=1)]


class TestRetries:
    """A request goes to another server within the budget, and is answered beyond it."""

    def test_budget_that_is_spent_spares_the_servers(
        self, tmp_path: Path, authority: Authority, localhost: CertificateFiles
    ) -> None:
        """Half of the requests meet a server that is not there; one of these may be tried again."""
        settings = "retry_percent = 0.0\nretries_per_second = 0.001\n" + EJECTION + "most_percent = 0\n"
        with backends(1) as (there,):
            urls = (f"http://127.0.0.1:{lasting_port()}", there.url)
            with (
                site(tmp_path, authority, localhost, {"chat": Upstream(urls, settings)}) as running,
                running.session() as session,
            ):
                statuses = Counter(
                    session.post(running.url(f"/chat/{number}"), data=b"x").status_code for number in range(20)
                )
                assert statuses == {200: 11, 502: 9}
                assert there.requests == 11
                failed = [running.record(f"/chat/{number}") for number in range(20)]
        spent = [one for one in failed if one["status"] == 502]
        assert all(one["error"].endswith("the retry budget is spent") for one in spent)

    def test_share_of_the_requests_may_be_tried_again(self, stage: Stage) -> None:
        settings = "retry_percent = 50.0\nretries_per_second = 0.0\n" + EJECTION + "most_percent = 0\n"
        with backends(1) as (there,):
            urls = [f"http://127.0.0.1:{lasting_port()}", there.url]
            with stage.proxy(urls, settings) as proxy:
                assert ask(proxy, 40, "POST") == [200] * 40


def echo(peer: Peer) -> None:
    """Answer requests; become a WebSocket that sends back each frame when asked."""
    while True:
        if b"Upgrade: websocket" not in peer.read_head():
            peer.send(OK)
            continue
        peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
        )
        reader = FrameReader(is_masked=True)
        while True:
            seen = len(reader.frames)
            reader.feed(peer.read_some())
            for frame in reader.frames[seen:]:
                peer.send(bytes((0x80 | frame.opcode, len(frame.payload))) + frame.payload)
                if frame.opcode == CLOSE:
                    peer.read_to_end()
                    return


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client."""
    mask = b"\x12\x34\x56\x78"
    return (
        bytes((0x80 | opcode, 0x80 | len(payload)))
        + mask
        + bytes(octet ^ mask[at % 4] for at, octet in enumerate(payload))
    )


def next_frame(client: Client) -> Frame:
    """Read one frame."""
    reader = FrameReader(is_masked=False)
    while not reader.frames:
        data = client.read()
        assert data, client.end
        reader.feed(data)
    (frame,) = reader.frames
    return frame


def opened(proxy: Inside) -> Client:
    """Open a WebSocket."""
    client = proxy.connect()
    client.send(request(*UPGRADE, start="GET /chat/socket HTTP/1.1"))
    assert client.read_response().status == 101
    return client


class TestDrain:
    """No new requests; WebSockets stay until they end or the time is over."""

    def test_websocket_stays_requests_go_elsewhere_and_then_it_is_asked_to_come_again(self, stage: Stage) -> None:
        settings = 'balance = "round-robin"'  # which would continue to send requests there
        with (
            scripted(echo) as first,
            scripted(echo) as second,
            stage.proxy([first.url, second.url], settings) as proxy,
        ):
            with opened(proxy) as client:
                (busy,) = [one for one in proxy.call(lambda: proxy.upstream("chat").statistics()) if one["websockets"]]
                proxy.call(lambda: proxy.upstream("chat").drain(busy["server"], 0.5))
                other = next(server for server in (first, second) if server.url != busy["server"])
                assert ask(proxy, 6) == [200] * 6
                assert len(first.peers) + len(second.peers) == 2
                assert len(other.peers) == 1, "all requests went there"
                client.send(masked(TEXT, b"hello"))
                assert next_frame(client).payload == b"hello"
                assert "draining" in proxy.states("chat")
                goodbye = next_frame(client)
                assert (goodbye.opcode, goodbye.payload[:2]) == (CLOSE, (1012).to_bytes(2, "big"))
                client.send(masked(CLOSE, goodbye.payload[:2]))
                assert client.await_end() is End.CLEAN
            proxy.until(lambda: "drained" in proxy.states("chat"))

    def test_close_frame_waits_for_the_border_of_a_message_frame(self, stage: Stage) -> None:
        rest = threading.Event()

        def script(peer: Peer) -> None:
            peer.read_head()
            peer.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n\x81\x05he"
            )
            assert rest.wait(WAIT_SECONDS)
            peer.send(b"llo")
            peer.read_to_end()

        with scripted(script) as server, stage.proxy([server.url]) as proxy, opened(proxy) as client:
            assert client.read() == b"\x81\x05he"
            proxy.call(lambda: proxy.upstream("chat").drain(server.url, 0.0))
            proxy.until(lambda: proxy.call(lambda: _is_closing(proxy)))
            rest.set()
            reader = FrameReader(is_masked=False)
            reader.feed(b"\x81\x05he")
            while len(reader.frames) < 2:
                data = client.read()
                assert data, client.end
                reader.feed(data)
            assert [frame.opcode for frame in reader.frames] == [TEXT, CLOSE]
            assert reader.frames[0].payload == b"hello"


def _is_closing(proxy: Inside) -> bool:
    (server,) = proxy.upstream("chat").servers
    return all(tunnel._is_closing for tunnel in server.tunnels)  # type: ignore[attr-defined]


class TestReload:
    """What does not change keeps its connections; what is gone lets them come to their end."""

    def test_kept_connection_is_used_on_and_that_of_a_removed_server_is_closed(self, stage: Stage) -> None:
        closed = threading.Event()

        def script(peer: Peer) -> None:
            try:
                for _ in peer.requests():
                    peer.send(OK)
            finally:
                closed.set()

        with (
            scripted(script) as server,
            scripted(echo) as other,
            stage.proxy([server.url]) as proxy,
            proxy.session() as session,
        ):
            for weight in ("", 'slow_start = "5s"'):
                assert session.get(proxy.url("/chat/x")).status_code == 200
                proxy.reload(stage.configuration([server.url], weight))
            assert session.get(proxy.url("/chat/x")).status_code == 200
            assert len(server.peers) == 1
            proxy.reload(stage.configuration([other.url]))
            assert closed.wait(WAIT_SECONDS)
            assert session.get(proxy.url("/chat/x")).status_code == 200
            assert (len(server.peers), len(other.peers)) == (1, 1)

    def test_exchange_under_way_ends_well_and_its_connection_is_not_kept(self, stage: Stage) -> None:
        arrived, answer, closed = threading.Event(), threading.Event(), threading.Event()

        def script(peer: Peer) -> None:
            peer.read_request()
            arrived.set()
            assert answer.wait(WAIT_SECONDS)
            peer.send(OK)
            assert peer.read_to_end() == b""
            closed.set()

        with (
            scripted(script) as server,
            scripted(echo) as other,
            stage.proxy([server.url]) as proxy,
            proxy.connect() as client,
        ):
            client.send(request(start="GET /chat/x HTTP/1.1"))
            assert arrived.wait(WAIT_SECONDS)
            proxy.reload(stage.configuration([other.url]))
            answer.set()
            assert client.read_response().status == 200
            assert closed.wait(WAIT_SECONDS)

    def test_websocket_of_a_server_with_new_settings_can_still_be_drained(self, stage: Stage) -> None:
        with scripted(echo) as server, stage.proxy([server.url]) as proxy, opened(proxy) as client:
            proxy.reload(stage.configuration([server.url], "connections = 7"))
            assert proxy.call(lambda: proxy.upstream("chat").statistics()[0]["websockets"]) == 1
            client.send(masked(TEXT, b"still here"))
            assert next_frame(client).payload == b"still here"
            proxy.call(lambda: proxy.upstream("chat").drain(server.url, 0.0))
            assert next_frame(client).opcode == CLOSE
