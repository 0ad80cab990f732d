"""100 MB go down and up through each of the servers; the upstream says how much came."""

import pytest

from tests.bench.bulk import bulk, curl
from tests.bench.load import LoadError
from tests.bench.measuring import Scene
from tests.bench.servers import LARGE, Server


def test_all_of_it_arrives_on_one_connection(server: Server, scene: Scene) -> None:
    with bulk(server, scene.bench.authority) as one:
        assert [one.up(), one.up()] == [100, 100]


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
def test_all_of_it_arrives_by_curl(server: Server, scene: Scene, protocol: str) -> None:
    assert curl(server, scene.bench.authority, protocol) == 100
    file = scene.bench.directory / "files" / LARGE[1:]
    assert curl(server, scene.bench.authority, protocol, "-T", str(file)) == 100


def test_answer_that_is_not_the_file_is_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.bulk.LARGE", "/nothing")
    with pytest.raises(LoadError, match=r"plexigate: curl says .*404"):
        curl(scene.ours, scene.bench.authority, "--http1.1")


def test_file_that_is_too_short_is_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.bulk.LARGE", "/message")
    with pytest.raises(LoadError, match=r"plexigate: curl says 0 126"):
        curl(scene.ours, scene.bench.authority, "--http1.1")
