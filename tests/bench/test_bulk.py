"""100 MB go down and up through each of the servers; the upstream says how much came."""

import pytest

from tests.bench.bulk import Bulk, bulk
from tests.bench.load import LoadError
from tests.bench.measuring import Scene
from tests.bench.servers import Server


def test_all_of_it_arrives(server: Server, scene: Scene) -> None:
    with bulk(server, scene.bench.authority) as one:
        assert [one.down(), one.up(), one.down()] == [100, 100, 100]


def test_answer_that_is_not_the_file_is_an_error(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.bulk.LARGE", "/nothing")
    with bulk(scene.ours, scene.bench.authority) as one, pytest.raises(LoadError, match=r"answered b'HTTP/1.1 404 "):
        Bulk.down(one)
