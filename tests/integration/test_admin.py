"""The admin socket and the metrics listener of a whole program, asked as monitoring does: with curl."""

import json
import os
import signal
import stat
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests import prepared
from tests.hostile.client import Address, Client
from tests.integration.admin import found, series
from tests.programs import PLEXIGATE
from tests.soak.scenes import Scene, scene
from tests.waiting import is_alive, until_found

METRICS = 'admin.metrics_bind = "127.0.0.1:0"\n'


def over_tcp(running: Scene, path: str, *arguments: str) -> tuple[int, str]:
    """Ask where only metrics are."""
    (ready,) = running.events("ready")
    command = ["curl", "--silent", "--noproxy", "*", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run(
        [*command, f"http://{ready['metrics'][0]}{path}"], capture_output=True, text=True, timeout=30, check=True
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def document(answer: tuple[int, str], status: int = 200) -> dict[str, Any]:
    """The JSON of an answer with this status."""
    assert answer[0] == status, answer
    read: dict[str, Any] = json.loads(answer[1])
    return read


def test_from_ready_to_the_end(tmp_path: Path) -> None:
    # a request whose body is still to come is at its server only on such a route
    route = '[[route]]\nhost = "localhost"\nupstream = "backend"\nstream_requests = true\n'
    with scene(tmp_path, top=METRICS, route=route) as running:
        admin, socket = running.admin, running.admin.socket
        facts = socket.stat()
        assert stat.S_ISSOCK(facts.st_mode)
        assert stat.S_IMODE(facts.st_mode) == 0o600

        for answer in (admin.ask("/readyz"), over_tcp(running, "/readyz")):
            assert document(answer) == {"status": "ready", "certificates": "calm"}
        for answer in (admin.ask("/healthz"), over_tcp(running, "/healthz")):
            assert document(answer) == {"status": "ok"}
        assert [one["pid"] for one in admin.status()["workers"]] == running.worker_pids
        for read in (admin.metrics(), series(over_tcp(running, "/metrics")[1])):
            assert found(read, "plexigate_workers") == 2
            assert found(read, "plexigate_generation") == 1
        # what changes or tells more than figures is not for everybody who reaches the port
        assert over_tcp(running, "/status")[0] == 404
        assert over_tcp(running, "/reload", "--request", "POST")[0] == 404
        assert admin.status()["reloads"] in ({}, {"ok": 0, "failed": 0})

        second = prepared.run([PLEXIGATE, "run", str(running.path)])
        assert (second.returncode, second.stdout) == (1, "")
        (sentence,) = second.stderr.splitlines()
        assert sentence.startswith(f"plexigate: {socket}: another process listens there; is Plexigate running already?")
        assert socket.stat().st_ino == facts.st_ino
        assert document(admin.ask("/readyz")) == {"status": "ready", "certificates": "calm"}

        os.kill(running.worker_pids[0], signal.SIGKILL)
        until_found(lambda: admin.ask("/readyz")[0] == 503)
        assert document(over_tcp(running, "/healthz")) == {"status": "ok"}
        until_found(lambda: admin.ask("/readyz")[0] == 200)
        assert len(running.worker_pids) == 2

        address = Address(running.port, running.authority.path)
        with ExitStack() as stack:
            # so many are in both workers, but for a chance of 2**-15: neither of them is gone before all is over
            busy = [stack.enter_context(Client(address, "localhost")) for _ in range(16)]
            for client in busy:
                client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nha\r\n")
            until_found(lambda: found(admin.metrics(), "plexigate_upstream_requests_total") == len(busy))
            running.signal(signal.SIGTERM)
            until_found(lambda: admin.ask("/readyz")[0] == 503)
            assert over_tcp(running, "/readyz")[0] == 503
            assert document(admin.ask("/healthz")) == {"status": "ok"}
            assert len(running.worker_pids) == 2
            for client in busy:
                client.send(b"2\r\nlf\r\n0\r\n\r\n")
                assert client.read_response().status == 200
        until_found(lambda: not is_alive(running.running.pid))
        assert not socket.exists()
    assert running.events("error") == []
