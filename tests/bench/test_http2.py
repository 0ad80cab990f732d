"""The load over HTTP/2 reaches the upstream through each of the servers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bench import http2, load, usage
from tests.bench.measuring import Scene
from tests.bench.servers import MESSAGE, PICTURE, Server


@pytest.mark.parametrize("path", [MESSAGE, PICTURE, f"/h2{MESSAGE}"])
def test_requests_are_answered(server: Server, scene: Scene, path: str) -> None:
    asked = http2.Load(path, requests=200, connections=2, streams=10)
    assert asked.run(server, scene.bench.other_core) == 200


def test_requests_have_the_fields_of_a_browser(scene: Scene, directory: Path) -> None:
    (directory / "files" / "counted-h2").write_text("{}")
    http2.Load("/counted-h2", requests=20, connections=1, streams=2).run(scene.ours, scene.bench.other_core)
    http2.Load(MESSAGE, requests=1, connections=1, streams=1).run(scene.ours, scene.bench.other_core)
    log = directory / "plexigate.log"
    while (found := log.read_text().count('"path":"/counted-h2"')) < 20:  # it is written a while later
        pass
    assert found == 20
    assert len(http2.FIELDS) == 11  # 13 with Host and Connection


def test_answer_other_than_200_is_an_error(server: Server, scene: Scene) -> None:
    asked = http2.Load("/nothing", requests=10, connections=1, streams=1)
    with pytest.raises(load.LoadError, match=r"did not answer all: .*status codes: 0 2xx, 0 3xx, 10 4xx"):
        asked.run(server, scene.bench.other_core)


def test_missing_program_is_named_with_its_package(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(load.LoadError, match=r"apt-get install nghttp2-client"):
        http2.Load(MESSAGE, requests=1, connections=1, streams=1).run(scene.ours, scene.bench.other_core)


def test_idle_connections_stay_open_in_the_server_until_the_end(server: Server, scene: Scene) -> None:
    def sockets() -> int:
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in usage.processes(server.pid))

    with http2.idle_connections(server, 20, MESSAGE, scene.bench.authority):
        within = sockets()
    while sockets() > within - 20:  # they end now, and those of tests before may have ended too
        pass


def test_server_that_does_not_choose_h2_is_an_error(scene: Scene) -> None:
    context = load.client_context(scene.bench.authority)
    with load.connection(scene.ours, context) as client, pytest.raises(load.LoadError, match="chose None, not h2"):
        http2.fetch(scene.ours, client, MESSAGE)


@pytest.mark.parametrize("late", [http2.late_alone, http2.late_beside_download])
def test_small_answers_are_timed_and_the_large_one_is_not(
    server: Server, scene: Scene, directory: Path, late: Callable[[Server, int, Path], float]
) -> None:
    assert 10 < late(server, scene.bench.other_core, directory) < 1_000_000
    times = [int(line.split("\t")[2]) for line in (directory / "h2load.log").read_text().splitlines()]
    assert len(times) == 300 + (late is http2.late_beside_download)
