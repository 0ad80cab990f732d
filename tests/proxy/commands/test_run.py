"""From a file to a serving process or to the list of its problems: what happens before anything is served."""

import os
import socket

import pytest

from certs.storage.disk import Disk
from certs.storage.lock import hold
from config.values.problems import ConfigError
from proxy.commands import run as app
from tests.configurations import MINIMAL_REST, Site, listener
from tests.descriptors import open_descriptors


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class TestRun:
    """What keeps it from serving; serving itself is in `test_supervisor` and the integration tests."""

    def test_what_a_worker_says_against_it_is_raised_and_nothing_is_left(self, site: Site) -> None:
        text = listener("public", groups=["nonsense"]) + site.identity + MINIMAL_REST
        left = []
        for _ in range(2):  # what the first one leaves is the loop's own, made once
            with pytest.raises(ConfigError, match=r"listener\.public\.groups"):
                app.run(site.write(text + f'[log]\nfile = "{os.devnull}"\n'), None)
            left.append(open_descriptors())
        assert left[0] == left[1]

    def test_all_are_raised_though_the_structure_is_wrong(self, site: Site) -> None:
        text = "mistake = 1\n" + listener("public", groups=["nonsense"]) + site.identity + MINIMAL_REST
        with pytest.raises(ConfigError) as caught:
            app.run(site.write(text), None)
        assert [problem.key for problem in caught.value.problems if problem.is_error] == [
            "mistake",
            "listener.public.groups",
        ]

    def test_port_in_use_is_a_problem_of_the_file(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = listener("public", bind=f"127.0.0.1:{port}") + site.identity + MINIMAL_REST
            with pytest.raises(ConfigError) as caught:
                app.run(site.write(text + f'[log]\nfile = "{os.devnull}"\n'), None)
        (problem,) = [problem for problem in caught.value.problems if problem.is_error]
        assert problem.key == "listener.public.bind[0]"
        assert problem.found == f"127.0.0.1:{port}, which cannot be used: Address already in use"

    def test_port_of_the_plain_listener_in_use_is_one_too(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = f'{site.minimal}[plain]\nbind = ["127.0.0.1:0", "127.0.0.1:{port}"]\n[log]\nfile = "{os.devnull}"\n'
            with pytest.raises(ConfigError) as caught:
                app.run(site.write(text), None)
        (problem,) = caught.value.problems
        assert problem.key == "plain.bind[1]"
        assert problem.found == f"127.0.0.1:{port}, which cannot be used: Address already in use"

    @pytest.mark.parametrize("name", ["other.toml", "plexigate.toml"], ids=["another proxy", "the same one"])
    def test_no_key_is_made_where_another_proxy_makes_them(self, site: Site, name: str) -> None:
        """A check has no objection to a proxy that runs by this configuration; a second start has."""
        path = site.write(site.minimal + '[payload]\ndirectory = "rings"\n[payload.ring.chat]\n')
        rings = site.directory / "rings"
        with hold(rings, Disk(), path.resolve().with_name(name)):
            with pytest.raises(ConfigError) as caught:
                app.run(path, None)
            (problem,) = [problem for problem in caught.value.problems if problem.is_error]
            assert problem.key == "payload.directory"
            assert f"which is in use by process {os.getpid()} (" in problem.found
            assert [one.name for one in rings.iterdir()] == ["lock"]

    def test_log_that_cannot_be_written_is_a_problem_of_the_file(self, site: Site) -> None:
        (site.directory / "log").symlink_to("log")  # refused for root as well
        with pytest.raises(ConfigError) as caught:
            app.run(site.write(site.minimal + '[log]\nfile = "log"\n'), None)
        (problem,) = [problem for problem in caught.value.problems if problem.is_error]
        assert problem.key == "log.file"
        assert problem.found == '"log", which cannot be looked at: Too many levels of symbolic links'
