"""What wants a person reaches the person: real faults of a whole program, a web server and a program that are told, and the commands."""

import functools
import json
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import prepared
from tests.configurations import identity
from tests.ports import lasting_port
from tests.programs import PLEXIGATE
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.paced

HEALTH = '[upstream.backend.health]\npath = "/"\ninterval = "200ms"\nrise = 1\nfall = 1\n'


@dataclass
class Pager:
    """A web server that takes alerts, or refuses them."""

    status: int = 204
    bodies: list[dict[str, Any]] = field(default_factory=list)
    address: str = ""

    def of(self, kind: str, state: str) -> list[dict[str, Any]]:
        """The messages about one kind so far."""
        return [one for one in self.bodies if (one["kind"], one["state"]) == (kind, state)]


@contextmanager
def pager() -> Iterator[Pager]:
    """Serve until the block ends."""
    taken = Pager()

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if taken.status < 300:
                taken.bodies.append(body)
            self.send_response(taken.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:  # nothing to standard error
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    taken.address = f"http://127.0.0.1:{server.server_port}/secret-path"
    try:
        yield taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def alerts(running: Scene, *arguments: str) -> tuple[int, str]:
    """`plexigate alerts`: exit code and output."""
    command = [PLEXIGATE, "alerts", *arguments, "--socket", str(running.directory / "admin.sock")]
    done = prepared.run(command)
    return done.returncode, done.stdout + done.stderr


def open_kinds(running: Scene) -> dict[str, dict[str, Any]]:
    """What is open now, by kind; this makes the proxy look."""
    return {one["kind"]: one for one in json.loads(running.admin.ask("/alerts")[1])["alerts"]}


def keys_in(paged: Path) -> set[str]:
    """What the program was told of; the last line may not be whole yet."""
    whole, _, _ = paged.read_text().rpartition("\n")
    return {json.loads(line)["key"] for line in whole.splitlines()}


def has_replaced(running: Scene, pid: int) -> bool:
    """Whether another worker has the place of one that was killed."""
    return pid not in running.worker_pids and len(running.worker_pids) == 2


def reload(running: Scene) -> bool:
    """Whether the proxy took the file."""
    running.write()
    return running.admin.ask("/reload", "--request", "POST")[0] == 200


@dataclass
class Expiring(Scene):
    """One more identity, whose certificate from a file has two days left."""

    @property
    def identity(self) -> str:
        """Both."""
        names = ("old.test",)
        valid = (timedelta(days=-88), timedelta(days=2))
        return super().identity + identity("old", names, self.authority.issue("old", names, valid=valid))


def test_a_day_of_faults(tmp_path: Path) -> None:
    with pager() as taken:
        out = tmp_path / "paged"
        program = f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read())"
        command = json.dumps([sys.executable, "-c", program])
        targets = f'[alerts]\nwebhook = "{taken.address}"\ncommand = {command}\nresolve_after = "1s"\n'
        with scene(tmp_path, kind=Expiring, extra=HEALTH + targets) as running:
            # a certificate from a file: told by itself, without an event
            (expiring,) = until_found(lambda: taken.of("certificate_expiring", "firing"))
            assert (expiring["subject"], expiring["urgency"]) == ("old ecdsa-p256", "critical")
            assert expiring["remedy"].startswith("Renew the certificate")
            assert (expiring["version"], expiring["times"]) == (1, 1)
            assert expiring["host"]

            # an upstream without a server, and back
            backend, running.backend = running.backend, lasting_port()
            assert reload(running)
            (down,) = until_found(lambda: taken.of("upstream_down", "firing"))
            assert (down["subject"], down["urgency"]) == ("backend", "critical")
            assert "is down" in down["text"]
            assert set(open_kinds(running)) == {"upstream_down", "certificate_expiring"}
            running.backend = backend
            assert reload(running)
            (up,) = until_found(lambda: taken.of("upstream_down", "resolved"))
            assert (up["key"], up["since"]) == (down["key"], down["since"])

            # a file that cannot be served
            running.top = "mistake = 1\n"
            assert not reload(running)
            (refused,) = until_found(lambda: taken.of("reload_refused", "firing"))
            assert "mistake" in refused["text"]
            assert not reload(running)
            running.top = ""
            assert reload(running)
            until_found(lambda: taken.of("reload_refused", "resolved"))
            assert len(taken.of("reload_refused", "firing")) == 1, "once, although it was refused twice"

            # too few descriptors for the parent
            soft, hard = resource.prlimit(running.running.pid, resource.RLIMIT_NOFILE)

            def is_short() -> bool:  # by what it has open now: after a reload it still closes some
                taken_now = {int(one) for one in os.listdir(f"/proc/{running.running.pid}/fd")}  # noqa: PTH208
                lowest_free = min(set(range(len(taken_now) + 1)) - taken_now)
                # less than half of its reserve (a quarter of the limit), and enough for both receivers of the alert at once
                resource.prlimit(running.running.pid, resource.RLIMIT_NOFILE, (lowest_free + 9, hard))
                return "descriptors_short" in open_kinds(running)

            until_found(is_short)
            resource.prlimit(running.running.pid, resource.RLIMIT_NOFILE, (soft, hard))
            until_found(lambda: "descriptors_short" not in open_kinds(running))
            until_found(lambda: taken.of("descriptors_short", "resolved"))

            # a log that cannot be written
            running.extra, before = running.extra + '[log]\nfile = "/dev/full"\n', running.extra
            assert reload(running)
            (lost,) = until_found(lambda: taken.of("log_lines_lost", "firing"))
            assert lost["urgency"] == "serious"
            running.extra = before
            assert reload(running)

            # workers that end repeatedly
            for _ in range(3):
                pid = running.worker_pids[0]
                os.kill(pid, signal.SIGKILL)
                until_found(functools.partial(has_replaced, running, pid))
            (restarts,) = until_found(lambda: taken.of("workers_restart", "firing"))
            assert restarts["urgency"] == "critical"

            # what an operator sees
            code, text = alerts(running)
            assert (code, "workers_restart" in text, "certificate_expiring" in text) == (0, True, True)
            status = running.admin.status()
            open_now = {"workers_restart", "certificate_expiring", "log_lines_lost"}
            assert {one["kind"] for one in status["alerts"]} == open_now
            assert (
                running.admin.metrics()["plexigate_alerts", (("kind", "workers_restart"), ("urgency", "critical"))] == 1
            )
            raised = [one["kind"] for one in running.events("alert_raised")]
            fired = sorted({one["kind"] for one in taken.bodies if one["state"] == "firing"})
            lost_line = ["log_lines_lost"] if "log_lines_lost" not in raised else []
            assert sorted(raised + lost_line) == fired, "each once; one line may be lost, as it says"
            # the program is told beside the web server, so later now and then
            until_found(lambda: keys_in(out) == {one["key"] for one in taken.bodies})

            # the test of the receivers
            code, text = alerts(running, "test")
            assert code == 0
            assert taken.bodies[-1]["kind"] == "test"
            assert text.count("accepted the test alert") == 2
            taken.status = 500
            code, text = alerts(running, "test")
            assert code == 1
            assert "did not accept the test alert: it answered with status 500" in text
            assert "secret-path" not in text + "".join(running.running.output)


def test_an_alert_outlives_its_receiver_a_reload_and_a_restart(tmp_path: Path) -> None:
    state = '[rotation]\nstate = "state"\n'
    (tmp_path / "state").mkdir(0o700)
    with pager() as taken:
        taken.status = 503
        targets = f'[alerts]\nwebhook = "{taken.address}"\nresolve_after = "1s"\n'
        with scene(tmp_path, kind=Expiring, extra=state + targets) as running:
            (failed,) = until_found(lambda: running.events("alert_failed"))
            assert failed["detail"] == "it answered with status 503"
            assert taken.address.endswith("secret-path")
            assert "secret-path" not in json.dumps(failed)
            with pager() as other:
                running.extra = running.extra.replace(taken.address, other.address)
                assert reload(running)
                (told,) = until_found(lambda: other.of("certificate_expiring", "firing"))
                taken.address = other.address
                assert len(running.events("alert_raised")) == 1
            kept = json.loads((tmp_path / "state" / "alerts.json").read_text())["alerts"]
            assert [one["kind"] for one in kept] == ["certificate_expiring"]
        with pager() as third:
            targets = f'[alerts]\nwebhook = "{third.address}"\nresolve_after = "1s"\n'
            with scene(tmp_path, kind=Expiring, extra=state + targets) as running:
                (again,) = until_found(lambda: third.of("certificate_expiring", "firing"))
                assert (again["since"], again["times"]) == (told["since"], told["times"] + 1)


def test_without_a_receiver_the_test_says_so(tmp_path: Path) -> None:
    with scene(tmp_path) as running:
        assert alerts(running) == (0, "No alert is open.\n")
        code, text = alerts(running, "test")
        assert code == 1
        assert "set command or webhook in [alerts]" in text
