"""`plexigate reload` against a running proxy: what is taken over, what is refused, and what becomes of established connections."""

import asyncio
import copy
import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from proxy.admin.client import UnixAdminClient
from tests import prepared
from tests.accounts import AS_SOMEBODY_ELSE
from tests.hostile.client import Address, Client, End
from tests.programs import PLEXIGATE
from tests.silent_files import silence
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

SECONDS = 20.0
GET = b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("reload")) as made:
        yield made


@pytest.fixture
def running(shared: Scene) -> Iterator[Scene]:
    """One proxy for all tests; each finds it as it was at first, with another generation and another certificate."""
    before = copy.copy(shared)
    yield shared
    for part in ("top", "listener", "workers", "route", "extra"):
        setattr(shared, part, getattr(before, part))
    shared.renew()
    assert asked(shared)["ok"]
    shared.running.wait_for(lambda _: len(shared.worker_pids) == shared.workers or None)


def reload(running: Scene, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command."""
    running.write()
    return again(running, *arguments)


def again(running: Scene, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command with the file as it is."""
    return prepared.run([PLEXIGATE, "reload", "--config", str(running.path), *arguments])


def asked(running: Scene, *, is_written: bool = True) -> dict[str, Any]:
    """Reload without the command."""
    if is_written:
        running.write()
    answer: dict[str, Any] = UnixAdminClient(running.directory / "admin.sock").post("/reload", {})[1]
    return answer


def as_json(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """What a machine reads."""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) is answer["ok"]
    return answer


def client(running: Scene, port: int | None = None) -> Client:
    """A connection on which the test chooses every byte."""
    return Client(Address(port or running.port, running.authority.path), "localhost")


def responds(peer: Client) -> int:
    """Ask once on a connection; answers the status."""
    peer.send(GET)
    return peer.read_response().status


async def open_socket(running: Scene, context: ssl.SSLContext | None = None) -> ClientConnection:
    """A WebSocket through the proxy, which echoes."""
    opened = await connect(
        f"wss://localhost:{running.port}/chat", ssl=context or running.client, proxy=None, ping_interval=None
    )
    await opened.send("hello")
    assert await opened.recv() == "hello"
    return opened


class TestAccepted:
    def test_change_is_told_and_serves_the_next_request_of_a_kept_connection(self, running: Scene) -> None:
        with client(running) as peer:
            assert responds(peer) == 200
            running.route = '[[route]]\nhost = "localhost"\npath = "/other"\nupstream = "backend"\n'
            done = reload(running)
            assert done.returncode == 0, done.stderr
            assert "localhost/other" in done.stdout
            assert f"Reloaded: generation {running.admin.status()['generation']} serves." in done.stdout
            assert responds(peer) == 404

    def test_nothing_to_change_is_no_mistake(self, running: Scene) -> None:
        assert as_json(reload(running, "--json"))["changes"] == []

    def test_new_certificate_is_shown_to_new_connections(self, running: Scene) -> None:
        with client(running) as before:
            first = before.tls.getpeercert(binary_form=True)
            running.renew()
            answer = asked(running)
            assert {change["key"] for change in answer["changes"]} == {
                "identity.local.certificate",
                "identity.local.key",
            }
            assert responds(before) == 200
            with client(running) as after:
                assert after.tls.getpeercert(binary_form=True) != first

    def test_listeners_come_and_go(self, running: Scene) -> None:
        running.extra = '[listener.second]\nbind = "127.0.0.1:0"\nexempt = ["127.0.0.1"]'
        assert asked(running)["ok"]
        (second,) = [one for one in running.admin.status()["listeners"] if one["name"] == "second"]
        port = int(second["addresses"][0].rpartition(":")[2])
        with client(running, port) as peer:
            assert responds(peer) == 200
            running.extra = ""
            assert asked(running)["ok"]
            assert peer.await_end() is End.CLEAN  # its listener is gone, and it was idle
        with pytest.raises(ConnectionRefusedError):
            client(running, port)

    def test_workers_come_and_go(self, running: Scene) -> None:
        first = running.worker_pids
        running.workers = 3
        assert asked(running)["ok"]
        assert running.worker_pids[:2] == first
        assert len(running.worker_pids) == 3
        running.workers = 1
        running.extra = '[limits]\ndrain_timeout = "1s"'
        assert asked(running)["ok"]
        # the sockets of the slots that are gone are still accepted on
        for _ in range(40):
            with client(running) as peer:
                assert responds(peer) == 200
        running.running.wait_for(lambda _: len(running.worker_pids) == 1 or None)
        assert running.worker_pids == first[:1]

    def test_signal_does_the_same(self, running: Scene) -> None:
        running.extra = "[limits]\nbody_bytes = 55"
        running.write()
        running.signal(signal.SIGHUP)
        self.reloaded(running, "limits.body_bytes: 104857600 -> 55")

    def test_change_of_a_file_does_the_same_where_that_is_wanted(self, running: Scene) -> None:
        running.top = "watch = true\n"
        assert asked(running)["ok"]
        running.extra = "[limits]\nbody_bytes = 66"
        running.write()
        self.reloaded(running, "limits.body_bytes: 104857600 -> 66")
        assert running.events("reloading")[-1]["cause"] == "a change of a file"

    def reloaded(self, running: Scene, change: str) -> None:
        """Wait for a reload that has changed this alone."""
        running.running.wait_for(lambda _: [change] in [one["changes"] for one in running.events("reloaded")] or None)


class TestRefused:
    """The old configuration continues, in every worker, and whoever asked is told why."""

    generation: int
    """The one that serves when a test begins."""

    @pytest.fixture(autouse=True)
    def before(self, running: Scene) -> None:
        self.generation = running.admin.status()["generation"]

    def all_serve_as_before(self, running: Scene) -> None:
        """Wait for what each worker says of itself, which may be late."""
        until_found(lambda: {one["generation"] for one in running.admin.status()["workers"]} == {self.generation})

    def refused(self, running: Scene, answer: dict[str, Any]) -> dict[str, dict[str, str]]:
        """The errors by key; nothing has changed."""
        assert not answer["ok"]
        assert answer["generation"] == self.generation
        self.all_serve_as_before(running)
        for _ in range(8):  # both workers
            with client(running) as peer:
                assert responds(peer) == 200
        return {one["key"]: one for one in answer["problems"] if one["severity"] == "error"}

    def test_broken_file(self, running: Scene) -> None:
        running.extra = "[limits]\nbody_bites = 5\n[[route]]\nhost = 'nobody.test'\nupstream = 'nowhere'"
        found = self.refused(running, as_json(reload(running, "--json")))
        assert {"limits.body_bites", "route[1].upstream", "route[1].host"} <= set(found)
        done = again(running)
        assert done.returncode == 1
        assert f"Refused: generation {self.generation} continues unchanged." in done.stdout + done.stderr
        assert str(running.path) in "".join((done.stdout + done.stderr).split()), "a long path takes several lines"

    def test_missing_key(self, running: Scene) -> None:
        running.key.rename(running.key.with_suffix(".away"))
        (problem,) = self.refused(running, asked(running, is_written=False)).values()
        assert problem["key"] == "identity.local.key"
        assert "No such file" in problem["found"]

    def test_what_only_openssl_refuses(self, running: Scene) -> None:
        running.listener += '\ngroups = ["x25519_frodo640aes"]'
        (problem,) = self.refused(running, asked(running)).values()
        assert problem["key"] == "listener.public.groups"
        assert "no key exchange group 'x25519_frodo640aes'" in problem["found"]

    def test_what_only_one_worker_cannot_do(self, running: Scene) -> None:
        """It has no descriptor left for what it would have to prepare; the other one could."""
        victim = running.worker_pids[-1]
        subprocess.run(["prlimit", f"--pid={victim}", "--nofile=1:4096"], check=True)
        running.extra = "[limits]\nbody_bytes = 5"
        answer = asked(running)
        assert not answer["ok"]
        (problem,) = [one for one in answer["problems"] if one["severity"] == "error"]
        assert "a worker that failed" in problem["found"]
        subprocess.run(["prlimit", f"--pid={victim}", "--nofile=4096:4096"], check=True)
        self.all_serve_as_before(running)
        assert asked(running, is_written=False)["ok"]

    def test_file_that_hangs(self, running: Scene) -> None:
        running.top = 'reload_timeout = "500ms"\n'
        assert asked(running)["ok"]
        # the command must not read it itself
        command = [PLEXIGATE, "reload", "--json", "--socket", str(running.directory / "admin.sock")]
        with silence(running.path):
            answer = as_json(prepared.run(command))
        assert not answer["ok"]
        assert "could not be read within 0.5 s" in answer["problems"][0]["found"]
        with client(running) as peer:
            assert responds(peer) == 200

    def test_pipe_in_the_place_of_a_file(self, running: Scene) -> None:
        running.key.unlink()
        os.mkfifo(running.key)
        answer = asked(running, is_written=False)
        assert not answer["ok"]
        assert "a pipe" in answer["problems"][0]["found"]
        with client(running) as peer:
            assert responds(peer) == 200

    def test_check_beside_the_running_proxy(self, running: Scene) -> None:
        """Its own addresses are no fault, those of another program are, and nobody's connection is taken."""

        def checked(bind: str) -> dict[str, tuple[str, int]]:
            running.listener = f'bind = "{bind}"\nexempt = ["127.0.0.1"]'
            running.write()
            command = [PLEXIGATE, "check", "--json", str(running.path)]
            problems = as_json(prepared.run(command))["problems"]
            return {one["key"]: (one["found"], one["line"]) for one in problems if one["severity"] == "error"}

        assert checked(f"127.0.0.1:{running.port}") == {}
        with socket.create_server(("127.0.0.1", 0)) as other:
            ((key, (found, line)),) = checked(f"127.0.0.1:{other.getsockname()[1]}").items()
        assert key == "listener.public.bind[0]"
        assert "Address already in use" in found
        assert running.path.read_text().splitlines()[line - 1].startswith("bind = ")
        with client(running) as peer:
            assert responds(peer) == 200

    def test_worker_that_hangs(self, running: Scene) -> None:
        running.top = 'reload_timeout = "500ms"\n'
        assert asked(running)["ok"]
        victim = running.worker_pids[0]
        os.kill(victim, signal.SIGSTOP)
        try:
            answer = asked(running, is_written=False)
        finally:
            os.kill(victim, signal.SIGCONT)
        assert not answer["ok"]
        assert "a worker that was not ready after 0.5 s" in answer["problems"][0]["found"]
        assert asked(running, is_written=False)["ok"]

    def test_port_that_is_taken(self, running: Scene) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            running.extra = f'[listener.second]\nbind = "127.0.0.1:{taken.getsockname()[1]}"'
            (problem,) = self.refused(running, asked(running)).values()
        assert problem["key"] == "listener.second.bind[0]"
        assert "Address already in use" in problem["found"]

    @pytest.mark.skipif(os.getuid() != 0, reason="run as root: others are refused a low port in any case")
    def test_low_port_without_the_right_to_it(self, tmp_path: Path) -> None:
        prefix = ["setpriv", "--bounding-set=-net_bind_service", "--"]
        with scene(tmp_path, prefix=prefix) as running:
            running.extra = '[listener.second]\nbind = "127.0.0.1:443"'
            answer = as_json(reload(running, "--dry-run", "--json"))
        (problem,) = [one for one in answer["problems"] if one["severity"] == "error"]
        assert problem["key"] == "listener.second.bind[0]"
        assert "CAP_NET_BIND_SERVICE" in problem["allowed"]

    def test_what_needs_a_restart(self, running: Scene) -> None:
        running.extra = f'[openssl]\nmodule_path = "{running.directory}"'
        (problem,) = self.refused(running, asked(running)).values()
        assert problem["key"] == "openssl.module_path"
        assert "needs a restart" in problem["found"]


class TestDryRun:
    def test_says_what_would_be_and_changes_nothing(self, running: Scene) -> None:
        running.extra = "[limits]\nbody_bytes = 5"
        running.workers = 3
        before = running.admin.status()
        done = reload(running, "--dry-run")
        assert done.returncode == 0
        assert "limits.body_bytes" in done.stdout
        assert f"Reload is possible. Generation {before['generation']} continues unchanged." in done.stdout
        assert len(running.worker_pids) == 2
        after = running.admin.status()
        assert (after["generation"], after["reloads"]) == (before["generation"], before["reloads"])

    def test_says_what_is_wrong(self, running: Scene) -> None:
        running.extra = "[limits]\nbody_bites = 5"
        done = reload(running, "--dry-run")
        assert done.returncode == 1
        assert "limits.body_bites" in done.stdout + done.stderr


class TestWebSockets:
    async def test_stay_when_everything_else_changes(self, running: Scene) -> None:
        async with asyncio.timeout(SECONDS), await open_socket(running) as chat:
            running.extra = "[limits]\nbody_bytes = 5\nwebsocket_message_bytes = 1_000"
            running.renew()
            assert (await asyncio.to_thread(asked, running))["ok"]
            await chat.send("still here")
            assert await chat.recv() == "still here"

    async def test_are_asked_to_come_again_when_their_route_is_gone(self, running: Scene) -> None:
        async with asyncio.timeout(SECONDS), await open_socket(running) as chat:
            running.route = '[[route]]\nhost = "localhost"\npath = "/other"\nupstream = "backend"\n'
            running.extra = '[limits]\ndrain_timeout = "500ms"'
            assert (await asyncio.to_thread(asked, running))["ok"]
            with pytest.raises(websockets.ConnectionClosed):
                await chat.recv()
            assert chat.close_code == 1012
            assert "route" in (chat.close_reason or "")

    async def test_are_asked_to_come_again_when_the_policy_is_too_strict_for_them(self, running: Scene) -> None:
        classical = running.client
        classical.set_ecdh_curve("prime256v1")
        async with (
            asyncio.timeout(SECONDS),
            await open_socket(running, classical) as weak,
            await open_socket(running) as strong,
        ):
            running.listener += '\npq = "require"'
            running.extra = '[limits]\ndrain_timeout = "500ms"'
            assert (await asyncio.to_thread(asked, running))["ok"]
            with pytest.raises(websockets.ConnectionClosed):
                await weak.recv()
            assert weak.close_code == 1012
            await strong.send("still here")
            assert await strong.recv() == "still here"


@AS_SOMEBODY_ELSE
class TestPrivileges:
    def test_workers_are_somebody_else_and_reload_what_only_root_may_read(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        with scene(tmp_path, top='user = "nobody"\n') as running:
            lines = [Path(f"/proc/{pid}/status").read_text() for pid in running.worker_pids]
            assert all("\nUid:\t65534\t65534\t65534\t65534\n" in text for text in lines)
            running.renew()
            for file in (running.key, running.certificate, running.path):
                file.chmod(0o600)
            tmp_path.chmod(0o700)
            done = reload(running)
            assert done.returncode == 0, done.stdout + done.stderr
            victim = running.worker_pids[0]
            os.kill(victim, signal.SIGKILL)
            running.running.wait_for(
                lambda _: (victim not in running.worker_pids and len(running.worker_pids) == 2) or None
            )
            for _ in range(8):
                with client(running) as peer:
                    assert responds(peer) == 200
