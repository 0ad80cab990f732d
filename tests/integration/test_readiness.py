"""What a load balancer is told by `/readyz`, and an operator by the status, of a whole program."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench.servers import free_port
from tests.soak.scenes import Scene, scene
from tests.waiting import until_found

pytestmark = pytest.mark.paced


def readyz(running: Scene) -> tuple[int, dict[str, Any]]:
    """Status and document."""
    status, body = running.admin.ask("/readyz")
    return status, json.loads(body)


def reasons(running: Scene) -> list[tuple[str, str]]:
    """Who is not able; the status says the same."""
    status, document = readyz(running)
    found = document.get("reasons", [])
    assert (status == 503) is bool(found)
    return [(one["subject"], one["name"]) for one in found]


@dataclass
class Waiting(Scene):
    """A proxy whose only identity waits for a CA that cannot be reached."""

    def __post_init__(self) -> None:
        """There is no certificate to make."""

    @property
    def identity(self) -> str:
        """By ACME."""
        return (
            '[identity.chat]\nnames = ["localhost"]\n[[identity.chat.credential]]\nkey = "ec-p256@file"\nissuer = "far"\n'
            f'[issuer.far]\ntype = "acme"\ndirectory = "https://127.0.0.1:{free_port()}/directory"\n'
            '[rotation]\nstate = "state"\n'
        )


def test_an_identity_that_waits_for_its_certificate_is_not_ready(tmp_path: Path) -> None:
    with scene(tmp_path, kind=Waiting) as running:
        status, document = readyz(running)
        assert status == 503
        assert document["detail"].startswith("identity chat has no certificate yet")
        assert [(one["subject"], one["name"]) for one in document["reasons"]] == [("identity", "chat")]
        assert running.admin.status()["readiness"]["reasons"] == document["reasons"]


def test_servers_that_are_all_down_are_named_with_their_routes(tmp_path: Path) -> None:
    health = '[upstream.backend.health]\npath = "/"\ninterval_seconds = 0.5\nrise = 1\nfall = 1\n'
    with scene(tmp_path, extra=health) as running:
        until_found(lambda: running.events("server_up"))
        assert reasons(running) == []
        running.backend = free_port()  # nobody listens there
        running.write()
        assert running.admin.ask("/reload", "--request", "POST")[0] == 200
        until_found(lambda: running.events("server_down"))
        status, document = readyz(running)
        (reason,) = document["reasons"]
        assert (status, reason["subject"], reason["routes"]) == (503, "upstream", ["localhost/"])
        assert f":{running.backend} is down" in reason["detail"]


def test_a_stopped_worker_is_told_at_once_and_a_reload_replaces_it(tmp_path: Path) -> None:
    with scene(tmp_path) as running:
        stopped, other = running.worker_pids
        os.kill(stopped, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert [subject for subject, _ in reasons(running)] == ["worker"]
            assert time.monotonic() - began < 3.0
            rows = {one["pid"]: one["state"] for one in running.admin.status()["workers"]}
            assert rows == {stopped: "silent", other: "serving"}
            began = time.monotonic()
            status, body = running.admin.ask("/reload", "--request", "POST")
            assert (status, json.loads(body)["ok"]) == (200, True)
            assert time.monotonic() - began < 10.0
            (given_up,) = until_found(lambda: running.events("worker_given_up"))
            assert given_up["pid"] == stopped
            until_found(lambda: reasons(running) == [])
        finally:
            os.kill(stopped, signal.SIGCONT)
