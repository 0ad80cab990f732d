"""Strangers at the port for monitoring end nothing: not the checks, not the workers, not the operator's way in."""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_admin import over_tcp
from tests.ports import lasting_port
from tests.programs import program
from tests.soak.attacks import honest
from tests.soak.attacks.attack import Target, held
from tests.soak.attacks.metrics_port import NAME, SETTINGS
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.paced

ROUTE = f'[[route]]\nhost = "localhost"\nupstream = "backend"\n{SETTINGS.route}\n'


def served(running: Scene) -> honest.Verdict:
    """How honest clients fare, while a worker that is killed is replaced."""
    verdicts: list[honest.Verdict] = []
    before = running.worker_pids
    os.kill(before[0], signal.SIGKILL)
    until_found(lambda: running.events("worker_ended"))
    clients = threading.Thread(target=lambda: verdicts.append(honest.fare(running.port, running.authority.path, 100)))
    clients.start()
    until_found(lambda: running.events("worker_joined"))
    assert len(running.worker_pids) == 2
    clients.join()
    return verdicts[0]


@pytest.mark.parametrize(("limit", "count"), [(None, 4_000), (256, 2_000)])
def test_half_sent_requests_take_nothing_down(tmp_path: Path, limit: int | None, count: int) -> None:
    settings: dict[str, Any] = {"top": SETTINGS.top.replace("{metrics}", str(lasting_port())), "route": ROUTE}
    prefix = () if limit is None else ("sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh")
    with scene(tmp_path, prefix, **settings) as running:
        until_found(lambda: running.events("server_up"))
        (ready,) = running.events("ready")
        port = int(ready["metrics"][0].rpartition(":")[2])
        target = Target("plexigate", running.running.pid, running.port, running.authority.path, {"metrics": port})
        with held(NAME, str(count), "1000", port="metrics")(target):
            parent = len(list(Path(f"/proc/{running.running.pid}/fd").iterdir()))
            assert parent < 128, "few connections, whatever comes"
            verdict = served(running)
            assert (verdict.failed, verdict.said) == (0, "")
            assert running.admin.ask("/readyz")[0] == 200
            assert {one["pid"] for one in running.admin.status()["workers"]} == set(running.worker_pids)
            for _ in range(3):
                assert over_tcp(running, "/metrics")[0] == 200
        assert running.events("server_down", "health_checks_not_made", "error") == []
        assert running.events("admin_crowded")


def test_local_programs_that_hang_do_not_lock_the_operator_out(tmp_path: Path) -> None:
    script = (
        "import socket, sys, time\n"
        "held = []\n"
        "for _ in range(500):\n"
        "    held.append(socket.socket(socket.AF_UNIX))\n"
        "    held[-1].connect(sys.argv[1])\n"
        "    held[-1].send(b'GET /status HTTP/1.1\\r\\n')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with scene(tmp_path) as running:
        socket = str(running.admin.socket)
        with program([sys.executable, "-c", script, socket], lambda line: line == "held" or None):
            for _ in range(3):
                assert running.admin.ask("/readyz")[0] == 200
                assert running.admin.ask("/reload", "--request", "POST")[0] == 200
        assert running.events("error") == []
