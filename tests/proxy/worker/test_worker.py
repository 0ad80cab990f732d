"""What serves in a worker process, from inside: sockets that come and go, a swap, a drain, and errors that nobody expected."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from certs.files.directory import open_log
from config.loading.loader import load
from config.schema import Bind, LogFormat
from proxy.building.carried import Carried
from proxy.downstream.http1.connection import _ConnectionState
from proxy.limits.shared import SharedTable
from proxy.observe.logs.log import Log
from proxy.observe.logs.log_writer import LogWriter
from proxy.supervisor.workers.sockets import listening_socket
from proxy.tls.openssl.capabilities import Capabilities, survey
from proxy.tls.openssl.tickets import TicketSecrets
from proxy.worker.generation import Generation, build
from proxy.worker.worker import Worker, offers_of
from tests.configurations import MINIMAL_REST, Site, listener
from tests.fakes_signing import SilentParent
from tests.waiting import until

REQUEST = b"GET /missing HTTP/1.1\r\nHost: other.test\r\n\r\n"
SECRETS = TicketSecrets(bytes(32))


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey(())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


Made = Callable[[str], Generation]


@pytest.fixture
def made(site: Site, capabilities: Capabilities, tmp_path: Path) -> Made:
    """Build a configuration, each as the next after the one before."""
    generations: list[Generation] = []

    def make(text: str) -> Generation:
        loaded = load(site.write(text, f"{tmp_path.name}.toml"))
        now = datetime.now(UTC)  # noqa: TID251 - the clock of OpenSSL
        carried = generations[-1].carried if generations else Carried()
        generations.append(build(loaded, capabilities, SECRETS, now, carried))
        return generations[-1]

    return make


def bound() -> socket.socket:
    """A listening socket on a free port, of which the test closes its copy."""
    return listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0))


@dataclass
class Running:
    """A worker that serves in this process."""

    worker: Worker
    client: ssl.SSLContext

    async def connect(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An established connection to a listening socket."""
        host, port = sock.getsockname()
        return await asyncio.open_connection(host, port, ssl=self.client, server_hostname="chat.test")

    async def visit(self, sock: socket.socket) -> bytes:
        """The status line of one request on one connection."""
        reader, writer = await self.connect(sock)
        writer.write(REQUEST)
        status = await reader.readuntil(b"\r\n")
        writer.close()
        return status

    @property
    def connections(self) -> list[Any]:
        """What is open."""
        return list(self.worker._http.connections.connected)


Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(tmp_path: Path) -> Events:
    """What the log has, once the worker is over."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    return read


@asynccontextmanager
async def running(site: Site, generation: Generation, tmp_path: Path) -> AsyncIterator[Running]:
    """Serve until the test has drained it, or drain it at once."""
    loop = asyncio.get_running_loop()
    log = Log(LogWriter(open_log(tmp_path / "log"), 1_000), LogFormat.JSON, has_colours=False)
    worker = Worker(loop, generation, log, SharedTable.private(), SilentParent())
    try:
        yield Running(worker, site.authority.client_context())
    finally:
        await worker.drain(0.0)
        loop.set_exception_handler(None)
        log.close(10)


async def test_the_first_generation_of_a_process_heeds_what_was_revoked(site: Site, made: Made, tmp_path: Path) -> None:
    generation = replace(made(site.minimal), payload_revoked=frozenset({(":kem:x", 1)}))
    async with running(site, generation, tmp_path):
        assert generation.payload_uses.revoked == {(":kem:x", 1)}


class TestAcceptOn:
    async def test_serves_on_what_it_is_given(self, site: Site, made: Made, tmp_path: Path, events: Events) -> None:
        with bound() as first, bound() as second:
            async with running(site, made(site.minimal), tmp_path) as run:
                run.worker.accept_on({"public": [first.dup(), second.dup()]})
                assert await run.visit(first) == b"HTTP/1.1 421 Misdirected Request\r\n"
                assert await run.visit(second) == b"HTTP/1.1 421 Misdirected Request\r\n"
            assert [entry["status"] for entry in events()] == [421, 421]
            assert run.worker.counters.snapshot()["listener_requests"] == [
                {"listener": "public", "status": "4xx", "count": 2}
            ]

    async def test_what_is_left_out_is_emptied_and_closed(self, site: Site, made: Made, tmp_path: Path) -> None:
        async with running(site, made(site.minimal), tmp_path) as run:
            with bound() as kept:
                left = bound()
                host, port = left.getsockname()
                mine = kept.dup()
                run.worker.accept_on({"public": [left, mine]})
                with socket.create_connection((host, port)) as waiting:
                    waiting.settimeout(0)
                    run.worker.accept_on({"public": [mine]})
                    assert left.fileno() == -1
                    reader, writer = await asyncio.open_connection(
                        sock=waiting.dup(), ssl=run.client, server_hostname="chat.test"
                    )
                    writer.write(REQUEST)
                    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 421")
                    writer.close()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((host, port))
                assert (await run.visit(kept)).startswith(b"HTTP/1.1 421")

    async def test_listener_that_is_left_out_is_no_more(self, site: Site, made: Made, tmp_path: Path) -> None:
        text = listener("public") + listener("second") + site.identity + MINIMAL_REST
        async with running(site, made(text), tmp_path) as run:
            first, second = bound(), bound()
            run.worker.accept_on({"public": [first], "second": [second]})
            run.worker.accept_on({"public": [first]})
            assert second.fileno() == -1
            assert set(run.worker._listeners) == {"public"}

    async def test_sockets_that_stay_are_left_alone(self, site: Site, made: Made, tmp_path: Path) -> None:
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            for _ in range(3):
                run.worker.accept_on({"public": [sock]})
            assert (await run.visit(sock)).startswith(b"HTTP/1.1 421")


class TestSwap:
    async def test_keep_alive_takes_the_new_one_at_its_next_request(
        self, site: Site, made: Made, tmp_path: Path
    ) -> None:
        refusing = site.minimal.replace('host = "chat.test"', 'host = "other.chat.test"')
        ask = b"GET / HTTP/1.1\r\nHost: chat.test\r\n\r\n"
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            run.worker.accept_on({"public": [sock]})
            reader, writer = await run.connect(sock)
            writer.write(ask)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 502")
            run.worker.swap(made(refusing))
            writer.write(ask)
            await reader.readuntil(b"HTTP/1.1 ")
            assert await reader.readexactly(3) == b"404"
            writer.close()

    async def test_new_connections_get_the_new_policy_and_those_that_break_it_end(
        self, site: Site, made: Made, tmp_path: Path
    ) -> None:
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            run.worker.accept_on({"public": [sock]})
            classical = site.authority.client_context()
            classical.set_ecdh_curve("X25519")
            hybrid = run.client
            stays, stays_writer = await run.connect(sock)
            run.client = classical
            ends, ends_writer = await run.connect(sock)
            await until(lambda: len(run.connections) == 2)
            run.worker.swap(made(listener("public", pq="require") + site.identity + MINIMAL_REST))
            assert await ends.read() == b""
            with pytest.raises(ssl.SSLError):
                await run.connect(sock)
            stays_writer.write(REQUEST)
            assert (await stays.readuntil(b"\r\n")).startswith(b"HTTP/1.1 421")
            run.client = hybrid
            assert (await run.visit(sock)).startswith(b"HTTP/1.1 421")
            for writer in (stays_writer, ends_writer):
                writer.close()

    async def test_listener_that_is_gone_keeps_its_own_until_its_sockets_are_taken(
        self, site: Site, made: Made, tmp_path: Path
    ) -> None:
        both = listener("public") + listener("second") + site.identity + MINIMAL_REST
        async with running(site, made(both), tmp_path) as run:
            first, second = bound(), bound()
            run.worker.accept_on({"public": [first], "second": [second]})
            run.worker.swap(made(site.minimal))
            run.worker.accept_on({"public": [first]})
            assert second.fileno() == -1
            assert (await run.visit(first)).startswith(b"HTTP/1.1 421")

    async def test_new_listener_comes_with_its_sockets(self, site: Site, made: Made, tmp_path: Path) -> None:
        both = listener("public") + listener("second") + site.identity + MINIMAL_REST
        async with running(site, made(site.minimal), tmp_path) as run:
            first, second = bound(), bound()
            run.worker.accept_on({"public": [first]})
            run.worker.swap(made(both))
            run.worker.accept_on({"public": [first], "second": [second]})
            assert (await run.visit(second)).startswith(b"HTTP/1.1 421")


async def test_clients_are_told_of_http_3_as_the_parent_says(site: Site, made: Made, tmp_path: Path) -> None:
    both = listener("public") + listener("second") + site.identity + MINIMAL_REST

    async def told(run: Running, sock: socket.socket) -> list[bytes]:
        reader, writer = await run.connect(sock)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        return [line for line in head.split(b"\r\n") if line.startswith(b"Alt-Svc")]

    async with running(site, made(both), tmp_path) as run:
        first, second = bound(), bound()
        run.worker.accept_on({"public": [first]})
        assert await told(run, first) == []
        run.worker.follow_alternatives({"public": b"clear", "second": b"other"})
        run.worker.accept_on({"public": [first], "second": [second]})
        assert await told(run, first) == [b"Alt-Svc: clear"]
        assert await told(run, second) == [b"Alt-Svc: other"]
        run.worker.follow_alternatives({"second": b"other"})
        assert await told(run, first) == []


class TestDrain:
    async def test_idle_connections_end_cleanly_and_new_ones_are_refused(
        self, site: Site, made: Made, tmp_path: Path
    ) -> None:
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            host, port = sock.getsockname()
            run.worker.accept_on({"public": [sock]})
            reader, writer = await run.connect(sock)
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            await run.worker.drain(30.0)
            assert (await reader.read()).endswith(b"}\n")
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, port))

    async def test_has_a_limit(self, site: Site, made: Made, tmp_path: Path) -> None:
        """A client in the middle of a head holds it up."""
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            run.worker.accept_on({"public": [sock]})
            _, writer = await run.connect(sock)
            writer.write(b"GET / HTTP/1.1\r\n")
            await until(lambda: any(getattr(one, "_state", None) is _ConnectionState.HEAD for one in run.connections))
            await run.worker.drain(0.1)
            assert run.connections == []
            writer.transport.abort()

    async def test_end_now_does_not_wait(self, site: Site, made: Made, tmp_path: Path) -> None:
        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            run.worker.accept_on({"public": [sock]})
            _, writer = await run.connect(sock)
            writer.write(b"GET / HTTP/1.1\r\n")
            await until(lambda: any(getattr(one, "_state", None) is _ConnectionState.HEAD for one in run.connections))
            draining = asyncio.get_running_loop().create_task(run.worker.drain(3_600.0))
            await until(lambda: run.worker._http.connections.is_draining)
            assert not draining.done()
            run.worker.end_now()
            await draining
            writer.transport.abort()


class TestUnexpectedErrors:
    async def test_of_a_task_are_logged_and_nobody_suffers(
        self, site: Site, made: Made, tmp_path: Path, events: Events
    ) -> None:
        async def fails() -> None:
            raise ZeroDivisionError("by zero")

        async with running(site, made(site.minimal), tmp_path) as run:
            sock = bound()
            run.worker.accept_on({"public": [sock]})
            run.worker._tasks.start(fails())
            assert (await run.visit(sock)).startswith(b"HTTP/1.1 421")
        assert events()[0] | {"time": ""} == {
            "time": "",
            "event": "error",
            "error": "ZeroDivisionError",
            "detail": "by zero",
        }

    async def test_of_a_callback_too(self, site: Site, made: Made, tmp_path: Path, events: Events) -> None:
        def fails() -> None:
            raise ZeroDivisionError("by zero")

        async with running(site, made(site.minimal), tmp_path):
            loop = asyncio.get_running_loop()
            loop.call_soon(fails)
            loop.call_exception_handler({"message": "something strange"})
            await asyncio.sleep(0)
        assert sorted((entry["error"], entry["detail"]) for entry in events() if entry["event"] == "error") == [
            ("RuntimeError", "something strange"),
            ("ZeroDivisionError", "by zero"),
        ]


def test_offers_are_what_is_really_served(site: Site, made: Made) -> None:
    (offer,) = offers_of(made(site.minimal))
    assert (offer.name, offer.pq) == ("public", "prefer")
    assert offer.groups.startswith("X25519MLKEM768:")
    assert offer.identities == {"chat": ("ecdsa-p256",)}
