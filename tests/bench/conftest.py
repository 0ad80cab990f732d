"""The three servers with what they stand in front of, for the tests of the load."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import day, differing
from tests.bench.measuring import Scene
from tests.bench.servers import Bench, Server

NAMES = ("nginx", "haproxy", "plexigate")


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All of them, running."""
    cores = sorted(os.sched_getaffinity(0))
    bench = Bench(tmp_path_factory.mktemp("bench"), proxy_core=cores[0], other_core=cores[-1])
    bench.lay_out()
    with bench.backend([*differing.ANSWERS, *day.ANSWERS]) as backend, bench.all_three(backend) as servers:
        yield Scene(bench, backend, servers)


@pytest.fixture(params=range(3), ids=NAMES)
def server(request: pytest.FixtureRequest, scene: Scene) -> Server:
    """Each of the three."""
    found: Server = scene.servers[request.param]
    assert found.name == NAMES[request.param]
    return found


@pytest.fixture
def directory(scene: Scene) -> Path:
    """Where the programs of the load are."""
    return scene.bench.directory
