"""An upgrade under a service manager: it learns of the new main process, keeps the sockets, and restarts as before."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.hostile.client import Address, Client
from tests.integration.stage import workers_of
from tests.ports import lasting_port
from tests.programs import PLEXIGATE, plexigate_listeners, program
from tests.service_manager import STORE, Manager, launcher
from tests.soak.scenes import Scene, backend_port
from tests.upgrades import SERVES, speaker, upgrade
from tests.waiting import is_alive, until_found


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify", STORE)
    yield made
    made.close()


def asked(port: int, authority: Path) -> int:
    with Client(Address(port, authority), "localhost") as client:
        client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.read_response().status


def test_the_manager_follows_and_a_restart_works_as_before(manager: Manager, tmp_path: Path) -> None:
    port = lasting_port()
    with program([sys.executable, "-m", "tests.soak.backend"], backend_port) as backend:
        scene = Scene(tmp_path, Authority(tmp_path), backend.ready)
        scene.listener = f'bind = "127.0.0.1:{port}"\nexempt = ["127.0.0.1"]'
        scene.extra = '[limits]\ndrain_timeout = "1s"\n'
        scene.write()
        environment = ["env", *manager.environment]
        with program([*environment, PLEXIGATE, "run", str(scene.path)], plexigate_listeners) as first:
            assert manager.heard(1)["READY"] == "1"
            kept = manager.kept
            told = upgrade(scene.path, "--program", str(speaker(tmp_path, "new", SERVES + "sys.exit(6)")))
            assert told.status == 1
            assert len(manager.states) == 1, "the manager need not know of an upgrade that failed"
            assert manager.kept == kept

            scene.workers = 3
            scene.write()
            told = upgrade(scene.path)
            assert told.status == 0, told
            pid = told.last["pid"]
            assert manager.heard(2) == {"MAINPID": str(pid)}
            assert manager.heard(3)["READY"] == "1"
            assert manager.heard(3)["STATUS"] == "serving with 3 workers"
            until_found(lambda: len(manager.kept) == 3)
            assert {name for name, _ in manager.kept} == {name for name, _ in kept}
            until_found(lambda: not is_alive(first.pid))
            signs = len(manager.signs)
            until_found(lambda: len(manager.signs) >= signs + 2)
            os.kill(pid, signal.SIGHUP)
            assert "RELOADING" in manager.heard(4)
            assert manager.heard(5)["READY"] == "1"

            workers = workers_of(pid)
            os.kill(pid, signal.SIGTERM)
            assert manager.heard(6) == {"STOPPING": "1"}
            until_found(lambda: not is_alive(pid))
        prefix, descriptors = launcher(manager.kept)
        command = [*environment, *prefix, PLEXIGATE, "run", str(scene.path)]
        with program(command, plexigate_listeners, descriptors=descriptors):
            assert asked(port, scene.authority.path) == 200
        for one in filter(is_alive, workers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGTERM)
