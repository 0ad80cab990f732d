"""One serving process from inside: sockets, signals, rotation, and what it does about errors that nobody expected."""

import asyncio
import json
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest

from config.loaded import LoadedConfig
from config.loader import load
from config.problems import ConfigError, Problem
from config.schema import Bind, LogFormat
from proxy.generation import Generation, build
from proxy.observe.log import Log
from proxy.observe.log_writer import LogWriter
from proxy.tls.capabilities import Capabilities, survey
from proxy.tls.tickets import TicketSecrets
from proxy.worker import BindFailed, Worker, listening_socket
from tests.configurations import MINIMAL_REST, Site, limits, listener

REQUEST = b"GET /missing HTTP/1.1\r\nHost: other.test\r\n\r\n"


@pytest.fixture(scope="module")
def capabilities() -> Capabilities:
    return survey(())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class TestListeningSocket:
    def test_listens_on_the_address_without_blocking(self) -> None:
        with listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock:
            assert sock.getsockname()[0] == "127.0.0.1"
            assert sock.gettimeout() == 0
            socket.create_connection(sock.getsockname()).close()

    def test_ipv6_is_ipv6_only(self) -> None:
        with listening_socket("public", Bind(IPv6Address("::1"), 0)) as sock:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1

    def test_both_families_share_a_port(self) -> None:
        with listening_socket("public", Bind(IPv4Address("0.0.0.0"), 0)) as four:  # noqa: S104 - on purpose
            port = four.getsockname()[1]
            with listening_socket("public", Bind(IPv6Address("::"), port)) as six:
                assert six.getsockname()[1] == port

    def test_accepted_connections_inherit_what_is_set(self) -> None:
        with (
            listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock,
            socket.create_connection(sock.getsockname()),
            sock.accept()[0] as accepted,
        ):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)

    def test_port_in_use_is_one_sentence_with_the_remedy(self) -> None:
        with listening_socket("public", Bind(IPv4Address("127.0.0.1"), 0)) as sock:
            bind = Bind(IPv4Address("127.0.0.1"), sock.getsockname()[1])
            with pytest.raises(BindFailed) as caught:
                listening_socket("second", bind)
        assert (caught.value.listener, caught.value.bind) == ("second", bind)
        assert str(caught.value) == (
            f"listener.second.bind: {bind} cannot be used: Address already in use; "
            "stop what uses it (ss -ltnp shows it), choose another port, or start with the right to bind it"
        )

    def test_address_of_another_machine_is_refused(self) -> None:
        with pytest.raises(BindFailed, match=r"192\.0\.2\.1:1 cannot be used: Cannot assign"):
            listening_socket("public", Bind(IPv4Address("192.0.2.1"), 1))


@dataclass
class Running:
    """A worker that serves in this process."""

    worker: Worker
    serving: "asyncio.Task[None]"
    client: ssl.SSLContext
    port: int

    async def connect(self, session: ssl.SSLSession | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An established connection."""
        del session
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.client, server_hostname="chat.test")

    def is_reading_a_head(self) -> bool:
        """Whether a part of a head has come on some connection."""
        connections: Any = self.worker._http._connections
        return any(connection._state.name == "HEAD" for connection in connections)

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process."""
        os.kill(os.getpid(), number)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something has happened, which nobody can be told of."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(tmp_path: Path) -> Events:
    """What the log has, once the worker is over."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]

    return read


def plain_build(loaded: LoadedConfig, capabilities: Capabilities) -> Callable[[TicketSecrets], Generation]:
    """As `app` builds."""
    return lambda tickets: build(loaded, capabilities, tickets, datetime.now(UTC))  # noqa: TID251 - the clock of OpenSSL


@asynccontextmanager
async def running(
    site: Site,
    capabilities: Capabilities,
    tmp_path: Path,
    text: str | None = None,
    rebuild: Callable[[TicketSecrets], Generation] | None = None,
) -> AsyncIterator[Running]:
    """Serve until the test has ended it, or end it."""
    loaded = load(site.write(text or site.minimal, f"{tmp_path.name}.toml"))
    make = plain_build(loaded, capabilities)
    writer = LogWriter(tmp_path / "log", 1_000)
    loop = asyncio.get_running_loop()
    worker = Worker(loop, make(TicketSecrets.fresh()), rebuild or make, Log(writer, LogFormat.JSON, has_colours=False))
    sockets = {
        name: [listening_socket(name, bind) for bind in settings.bind]
        for name, settings in loaded.config.listener.items()
    }
    worker.start(sockets)
    port = sockets["public"][0].getsockname()[1]
    serving = loop.create_task(worker.serve())
    await asyncio.sleep(0)  # its signal handlers are set then
    try:
        yield Running(worker, serving, site.authority.client_context(), port)
    finally:
        if not serving.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await serving
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        loop.set_exception_handler(None)
        writer.close(10)


async def test_serves_and_reports_what_it_offers(
    site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
) -> None:
    async with running(site, capabilities, tmp_path) as run:
        (report,) = run.worker.report()
        assert report.name == "public"
        assert report.addresses == [f"127.0.0.1:{run.port}"]
        assert report.pq == "prefer"
        assert report.groups.startswith("X25519MLKEM768:")
        assert report.identities == {"chat": ("ecdsa-p256",)}
        reader, writer = await run.connect()
        writer.write(REQUEST)
        assert await reader.readuntil(b"\r\n") == b"HTTP/1.1 421 Misdirected Request\r\n"
        writer.close()
    request, stopped = events()
    assert request["status"] == 421
    assert stopped["event"] == "stopped"
    assert stopped["handshakes"] == [{"listener": "public", "identity": "chat", "outcome": "hybrid", "count": 1}]
    assert stopped["requests"] == [{"listener": "public", "status": "4xx", "count": 1}]
    assert stopped["failures"] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_idle_connections_cleanly_and_refuses_new_ones(
    site: Site, capabilities: Capabilities, tmp_path: Path, number: int
) -> None:
    async with running(site, capabilities, tmp_path) as run:
        reader, writer = await run.connect()
        run.signal(number)
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await run.connect()
        await run.serving


async def test_second_signal_does_not_wait(
    site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
) -> None:
    """A client in the middle of a head holds the first one up."""
    async with running(site, capabilities, tmp_path) as run:
        _, writer = await run.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        await until(run.is_reading_a_head)
        run.signal()
        await until(lambda: run.worker._http.is_draining)
        assert not run.serving.done()
        run.signal()
        await run.serving
        writer.transport.abort()
    assert events()[-1]["event"] == "stopped"


async def test_drain_has_a_limit(site: Site, capabilities: Capabilities, tmp_path: Path) -> None:
    text = listener("public") + site.identity + MINIMAL_REST + limits({"drain_seconds": 0.1})
    async with running(site, capabilities, tmp_path, text) as run:
        _, writer = await run.connect()
        writer.write(b"GET / HTTP/1.1\r\n")
        await until(run.is_reading_a_head)
        run.signal()
        await run.serving
        writer.transport.abort()


class TestRotation:
    async def visit(self, run: Running, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        """One connection in a thread, as asyncio does not resume: whether it was, and its ticket or the old one."""

        def talk() -> tuple[bool, ssl.SSLSession]:
            with (
                socket.create_connection(("127.0.0.1", run.port)) as sock,
                run.client.wrap_socket(sock, server_hostname="chat.test", session=session) as tls,
            ):
                tls.sendall(REQUEST)
                assert tls.recv(10_000).startswith(b"HTTP/1.1 421")
                assert tls.session is not None
                return bool(tls.session_reused), tls.session

        return await asyncio.to_thread(talk)

    async def test_old_tickets_survive_one_rotation_and_not_two(
        self, site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
    ) -> None:
        async with running(site, capabilities, tmp_path) as run:
            _, first = await self.visit(run, None)
            await run.worker.rotate_tickets()
            assert (await self.visit(run, first))[0]
            _, second = await self.visit(run, None)
            await run.worker.rotate_tickets()
            assert not (await self.visit(run, first))[0]
            assert (await self.visit(run, second))[0]
        assert [entry["event"] for entry in events() if "event" in entry] == [
            "tickets_rotated",
            "tickets_rotated",
            "stopped",
        ]

    async def test_failed_one_changes_nothing_and_the_next_one_tries_again(
        self, site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
    ) -> None:
        seen: list[TicketSecrets] = []

        def rebuild(tickets: TicketSecrets) -> Generation:
            seen.append(tickets)
            raise ConfigError([Problem("plexigate.toml", "identity.chat.key", "no file", "a file")])

        async with running(site, capabilities, tmp_path, rebuild=rebuild) as run:
            _, first = await self.visit(run, None)
            for _ in range(2):
                await run.worker.rotate_tickets()
            assert (await self.visit(run, first))[0]
        assert seen[0].previous == seen[1].previous is not None
        assert seen[0].current != seen[1].current
        failures = [entry for entry in events() if entry.get("event") == "ticket_rotation_failed"]
        assert len(failures) == 2
        assert "identity.chat.key" in failures[0]["detail"]

    async def test_happens_by_itself(
        self,
        site: Site,
        capabilities: Capabilities,
        tmp_path: Path,
        events: Events,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        waited: list[float] = []
        sleep = asyncio.sleep

        async def hurried(seconds: float) -> None:
            if seconds:
                waited.append(seconds)
                if len(waited) == 3:
                    await asyncio.Event().wait()
            await sleep(0)

        monkeypatch.setattr(asyncio, "sleep", hurried)
        text = listener("public") + site.identity + MINIMAL_REST + limits({"tls_ticket_rotation_hours": 2.0})
        async with running(site, capabilities, tmp_path, text):
            while len(waited) < 3:
                await sleep(0)
        assert waited == [7_200.0] * 3
        assert [entry["event"] for entry in events()] == ["tickets_rotated", "tickets_rotated", "stopped"]


class TestUnexpectedErrors:
    async def test_of_a_task_are_logged_and_nobody_suffers(
        self, site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
    ) -> None:
        async def fails() -> None:
            raise ZeroDivisionError("by zero")

        async with running(site, capabilities, tmp_path) as run:
            run.worker._tasks.start(fails())
            reader, writer = await run.connect()
            writer.write(REQUEST)
            assert await reader.readuntil(b"\r\n\r\n")
            writer.close()
        assert events()[0] | {"time": ""} == {
            "time": "",
            "event": "error",
            "error": "ZeroDivisionError",
            "detail": "by zero",
        }

    async def test_of_a_callback_too(
        self, site: Site, capabilities: Capabilities, tmp_path: Path, events: Events
    ) -> None:
        def fails() -> None:
            raise ZeroDivisionError("by zero")

        async with running(site, capabilities, tmp_path):
            loop = asyncio.get_running_loop()
            loop.call_soon(fails)
            loop.call_exception_handler({"message": "something strange"})
            await asyncio.sleep(0)
        assert sorted((entry["error"], entry["detail"]) for entry in events() if entry["event"] == "error") == [
            ("RuntimeError", "something strange"),
            ("ZeroDivisionError", "by zero"),
        ]
