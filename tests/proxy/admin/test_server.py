"""The admin server, asked over real sockets: what each of them answers, and what it does not."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector, UnixConnector
from prometheus_client.parser import text_string_to_metric_families
from yarl import URL

from config.values.addresses import Bind
from proxy.admin.listening import AdminSocketError
from proxy.admin.requests.contracts import ReloadReport
from proxy.admin.server import AdminServer
from proxy.admin.settings import AdminSettings
from proxy.observe.metrics.metrics import METRICS
from proxy.observe.readiness import READY, NotReadyReason, Readiness, ReadinessSubject
from proxy.observe.status import status
from tests.fakes_admin import FakeControl, host_of
from tests.parts import part

LOOPBACK = Bind(ip_address("127.0.0.1"), 0)
DRAIN = "/upstreams/chat/http%3A%2F%2F10.0.0.1%3A8000/drain"
NOT_READY = Readiness((NotReadyReason(ReadinessSubject.IDENTITY, "chat", "has no certificate yet"),))
PROBLEM = "application/problem+json"


@dataclass
class Answer:
    """What came back."""

    status: int
    content_type: str
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.text)

    @property
    def detail(self) -> str:
        """The sentence of a problem, which it must be."""
        assert self.content_type == PROBLEM
        problem = self.json
        assert problem["status"] == self.status
        assert problem["type"] == "about:blank"
        return str(problem["detail"])


@dataclass
class Admin:
    """A server that listens."""

    server: AdminServer
    control: FakeControl
    path: Path
    errors: list[BaseException]

    async def ask(
        self, target: str, method: str = "GET", *, over_tcp: bool = False, data: bytes | None = None
    ) -> Answer:
        """Ask the Unix socket, or the one for monitoring."""
        connector = TCPConnector() if over_tcp else UnixConnector(str(self.path))
        host = self.server.metrics_addresses[0] if over_tcp else "plexigate"
        async with (
            ClientSession(connector=connector) as session,
            session.request(method, URL(f"http://{host}{target}", encoded=True), data=data) as response,
        ):
            return Answer(response.status, response.content_type, dict(response.headers), await response.text())


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[Admin]:
    control, errors = FakeControl(), list[BaseException]()
    settings = AdminSettings(directory / "run" / "admin.sock", (LOOPBACK,), directory / "run" / "page.sock")
    server = AdminServer(control.parts, settings, host_of(errors))
    await server.start()
    try:
        yield Admin(server, control, settings.socket, errors)
    finally:
        await server.stop()


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Admin]:
    async with listening(tmp_path) as admin:
        yield admin
        assert admin.errors == []


class TestUpgrades:
    """Another process listens on the same sockets."""

    async def test_it_rests_while_another_process_accepts_and_accepts_again(self, admin: Admin) -> None:
        admin.server.rest()
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(admin.path))
            waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: plexigate\r\n\r\n")
            waiting.settimeout(0)
            for _ in range(5):
                await asyncio.sleep(0)
            with pytest.raises(BlockingIOError):
                waiting.recv(10)
            admin.server.resume()
            assert (await admin.ask("/healthz")).status == 200
            waiting.settimeout(5)
            assert (await asyncio.to_thread(waiting.recv, 12)) == b"HTTP/1.1 200"

    async def test_the_next_process_has_the_sockets_and_leaves_the_path_until_it_owns_it(self, admin: Admin) -> None:
        handed = {name: socket.socket(fileno=os.dup(number)) for name, number in admin.server.handed}
        assert set(handed) == {*admin.server.places, str(LOOPBACK)}
        for sock in handed.values():
            sock.settimeout(0)
        settings = admin.server._settings
        server = AdminServer(admin.control.parts, settings, host_of(admin.errors))
        await server.start(lambda name: handed.pop(name, None))
        assert server.metrics_addresses == admin.server.metrics_addresses
        admin.server.rest()
        assert (await admin.ask("/healthz")).status == 200
        await server.stop()
        assert admin.path.exists(), "it was not its own yet"
        admin.server.resume()
        server.own()
        admin.server.leave(["/another"])
        admin.server.leave(admin.server.places)
        await admin.server.stop()
        assert admin.path.exists()
        await server.stop()
        assert not admin.path.exists()


@pytest.mark.parametrize("over_tcp", [False, True])
class TestMonitoring:
    async def test_metrics(self, admin: Admin, *, over_tcp: bool) -> None:
        answer = await admin.ask("/metrics", over_tcp=over_tcp)
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = {family.name for family in text_string_to_metric_families(answer.text)}
        assert found == {metric.name.removesuffix("_total") for metric in METRICS}

    async def test_health_says_that_it_answers(self, admin: Admin, *, over_tcp: bool) -> None:
        admin.control.ready = NOT_READY
        answer = await admin.ask("/healthz", over_tcp=over_tcp)
        assert (answer.status, answer.json) == (200, {"status": "ok"})
        assert admin.control.told == []

    async def test_readiness_is_that_of_the_workers(self, admin: Admin, *, over_tcp: bool) -> None:
        answer = await admin.ask("/readyz", over_tcp=over_tcp)
        assert (answer.status, answer.json) == (200, {"status": "ready", "certificates": "calm"})
        admin.control.rotating.urgent = "grave"  # never a reason not to be ready
        answer = await admin.ask("/readyz", over_tcp=over_tcp)
        assert (answer.status, answer.json) == (200, {"status": "ready", "certificates": "grave"})
        admin.control.ready = replace(READY, doubts=NOT_READY.reasons)
        answer = await admin.ask("/readyz", over_tcp=over_tcp)
        doubts = NOT_READY.as_json()["reasons"]
        assert (answer.status, answer.json) == (200, {"status": "ready", "certificates": "grave", "doubts": doubts})
        admin.control.ready = NOT_READY
        answer = await admin.ask("/readyz", over_tcp=over_tcp)
        assert (answer.status, answer.detail) == (503, "identity chat has no certificate yet")
        assert answer.json["reasons"] == [{"subject": "identity", "name": "chat", "detail": "has no certificate yet"}]
        assert answer.json["doubts"] == []

    async def test_what_is_not_there_is_a_problem(self, admin: Admin, *, over_tcp: bool) -> None:
        assert (await admin.ask("/nowhere", over_tcp=over_tcp)).detail == "Not Found"
        answer = await admin.ask("/metrics", "POST", over_tcp=over_tcp)
        assert (answer.status, answer.detail) == (405, "Method Not Allowed")
        assert answer.headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/status"),
        ("GET", "/adoption"),
        ("POST", "/reload"),
        ("POST", "/reload?dry_run=1"),
        ("POST", DRAIN),
        ("POST", f"{DRAIN[:-5]}undrain"),
        ("POST", "/keys/try?token=plexi&object=chat"),
    ],
)
async def test_tcp_has_no_commands(admin: Admin, method: str, target: str) -> None:
    answer = await admin.ask(target, method, over_tcp=True)
    assert answer.status == 404
    assert admin.control.told == []
    assert (await admin.ask(target, method)).status == 200


@pytest.mark.parametrize("target", ["/status", "/metrics", "/healthz", "/readyz", "/reload", DRAIN])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_socket_of_the_page_has_nothing_else(admin: Admin, method: str, target: str) -> None:
    page = replace(admin, path=admin.path.with_name("page.sock"))
    assert (await page.ask(target, method)).status == 404
    assert admin.control.told == []


class TestCommands:
    async def test_status(self, admin: Admin) -> None:
        answer = await admin.ask("/status")
        assert (answer.status, answer.content_type) == (200, "application/json")
        # where a check may find us
        assert answer.json == {**status(admin.control.answer), "metrics": list(admin.server.metrics_addresses)}

    async def test_adoption(self, admin: Admin) -> None:
        answer = await admin.ask("/adoption")
        assert (answer.status, answer.json["version"], answer.json["writer"]) == (200, 1, "fake")
        assert admin.control.told == [("adoption",)]

    @pytest.mark.parametrize(("query", "dry_run"), [("", False), ("?dry_run=0", False), ("?dry_run=1", True)])
    async def test_reload(self, admin: Admin, query: str, *, dry_run: bool) -> None:
        admin.control.report = ReloadReport(ok=True, changes=[part({"key": "workers"})], problems=[], generation=7)
        answer = await admin.ask(f"/reload{query}", "POST")
        assert admin.control.told == [("reload", dry_run)]
        assert answer.status == 200
        assert answer.json == {
            "ok": True,
            "changes": [{"key": "workers"}],
            "problems": [],
            "generation": 7,
            "dry_run": dry_run,
        }

    async def test_reload_that_fails_is_a_conflict_with_its_problems(self, admin: Admin) -> None:
        admin.control.report = ReloadReport(ok=False, changes=[], problems=[part({"key": "route[0]"})], generation=2)
        answer = await admin.ask("/reload", "POST")
        assert (answer.status, answer.json["ok"], answer.json["problems"]) == (409, False, [{"key": "route[0]"}])

    async def test_reload_of_what_cannot_be_meant_is_refused(self, admin: Admin) -> None:
        answer = await admin.ask("/reload?dry_run=yes%0A", "POST")
        assert (answer.status, answer.detail) == (400, "dry_run is 'yes\\n': write dry_run=1, or leave it out")
        assert admin.control.told == []

    async def test_reload_is_never_a_get(self, admin: Admin) -> None:
        assert (await admin.ask("/reload")).status == 405
        assert admin.control.told == []

    @pytest.mark.parametrize(("query", "seconds"), [("", None), ("?seconds=0", 0.0), ("?seconds=2.5", 2.5)])
    async def test_drain(self, admin: Admin, query: str, seconds: float | None) -> None:
        answer = await admin.ask(DRAIN + query, "POST")
        assert answer.json == {"upstream": "chat", "server": "http://10.0.0.1:8000", "draining": True}
        assert admin.control.told == [("drain", "chat", "http://10.0.0.1:8000", seconds)]

    async def test_drain_of_the_last_one_warns(self, admin: Admin) -> None:
        admin.control.warning = "no other server takes requests"
        assert (await admin.ask(DRAIN, "POST")).json["warning"] == "no other server takes requests"

    async def test_undrain(self, admin: Admin) -> None:
        answer = await admin.ask(f"{DRAIN[:-5]}undrain", "POST")
        assert answer.json == {"upstream": "chat", "server": "http://10.0.0.1:8000", "draining": False}
        assert admin.control.told == [("undrain", "chat", "http://10.0.0.1:8000")]

    async def test_a_key_is_tried_by_the_workers(self, admin: Admin) -> None:
        answer = await admin.ask("/keys/try?token=plexi&serial=42&object=chat&id=0a", "POST")
        nobody = {"slot": 0, "pid": 4_000, "is_used": False, "signs": False}
        assert answer.json == {"uses": [], "workers": [nobody]}
        assert admin.control.told == [("try_key", "pkcs11:token=plexi;serial=42;object=chat;id=%0A")]

    @pytest.mark.parametrize("query", ["token=plexi", "object=chat", "token=plexi&object=chat&id=zz"])
    async def test_a_key_that_is_not_said(self, admin: Admin, query: str) -> None:
        answer = await admin.ask(f"/keys/try?{query}", "POST")
        assert (answer.status, admin.control.told) == (400, [])

    @pytest.mark.parametrize("verb", ["drain", "undrain"])
    async def test_an_unknown_server_says_what_there_is(self, admin: Admin, verb: str) -> None:
        answer = await admin.ask(f"/upstreams/chat/unix%3A%2Frun%2Fchat.sock/{verb}", "POST")
        assert answer.status == 404
        assert answer.detail == (
            "upstream chat has no server unix:/run/chat.sock; "
            "there are chat/http://10.0.0.1:8000, chat/http://10.0.0.2:8000"
        )

    @pytest.mark.parametrize("seconds", ["soon", "-1", "nan", "inf", "1e99", ""])
    async def test_a_time_that_is_none(self, admin: Admin, seconds: str) -> None:
        answer = await admin.ask(f"{DRAIN}?seconds={seconds}", "POST")
        assert (answer.status, admin.control.told) == (400, [])
        assert answer.detail.startswith(f"seconds is '{seconds}': write a number of seconds from 0 to 2592000")

    async def test_a_body_is_not_read(self, admin: Admin) -> None:
        assert (await admin.ask("/reload", "POST", data=bytes(100_000))).status == 200


async def test_an_error_of_ours_is_reported_and_not_told(tmp_path: Path) -> None:
    async with listening(tmp_path) as admin:
        admin.control.error = error = RuntimeError("secret detail")
        answer = await admin.ask("/metrics")
        assert (answer.status, answer.detail) == (500, "internal error, see the log")
        assert "secret" not in answer.text
        assert admin.errors == [error]
        admin.control.error = None
        assert (await admin.ask("/metrics")).status == 200


class TestSockets:
    async def test_only_its_user_may_open_it(self, admin: Admin) -> None:
        assert stat.S_IMODE(admin.path.stat().st_mode) == 0o600

    async def test_it_is_gone_at_the_end(self, tmp_path: Path) -> None:
        async with listening(tmp_path) as admin:
            address = admin.server.metrics_addresses[0]
            assert address.startswith("127.0.0.1:")
        assert not admin.path.exists()
        assert admin.server.metrics_addresses == ()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))
        await admin.server.stop()

    async def test_a_second_one_is_refused_and_disturbs_nothing(self, admin: Admin) -> None:
        second = AdminServer(FakeControl().parts, AdminSettings(admin.path), host_of(admin.errors))
        with pytest.raises(AdminSocketError, match="another process listens there"):
            await second.start()
        assert (await admin.ask("/healthz")).status == 200

    async def test_nothing_listens_when_a_part_cannot(self, admin: Admin, tmp_path: Path) -> None:
        port = int(admin.server.metrics_addresses[0].rpartition(":")[2])
        path = tmp_path / "other.sock"
        settings = AdminSettings(path, (LOOPBACK, replace(LOOPBACK, port=port)))
        with pytest.raises(AdminSocketError, match="Address already in use"):
            await AdminServer(FakeControl().parts, settings, host_of(admin.errors)).start()
        assert not path.exists()

    async def test_a_client_that_stays_does_not_keep_it_from_ending(self, tmp_path: Path) -> None:
        async with listening(tmp_path) as admin:
            reader, writer = await asyncio.open_unix_connection(str(admin.path))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
        await reader.read()
        writer.close()
