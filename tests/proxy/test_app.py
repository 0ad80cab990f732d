"""From a file to a serving process or to the list of its problems: what happens before anything is served."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.loader import load
from config.problems import ConfigError
from proxy import app
from proxy.tls.libssl import InterpreterUnsuitable
from proxy.worker import BindFailed
from tests.configurations import MINIMAL_REST, Site, listener


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class TestCheck:
    def test_usable_configuration_has_no_problems(self, site: Site) -> None:
        assert app.check(site.write(site.minimal)) == ()

    def test_warnings_are_told_once(self, site: Site) -> None:
        text = listener("public", level="quantum-safe", pq="report") + site.identity + MINIMAL_REST
        found = app.check(site.write(text))
        assert sorted(problem.key for problem in found) == ["listener.public.level", "listener.public.pq"]
        assert not any(problem.is_error for problem in found)

    def test_structure_credentials_and_groups_are_judged_together(self, site: Site) -> None:
        text = (
            listener("public", groups=["X25519MLKEM786"], default="nobody", mistake=1)
            + site.identity.replace(str(site.chat.key), "missing.key")
            + MINIMAL_REST.replace('upstream = "chat"', 'upstream = "nowhere"')
        )
        assert sorted({problem.key for problem in app.check(site.write(text)) if problem.is_error}) == [
            "identity.chat.key",
            "listener.public.default",
            "listener.public.groups",
            "listener.public.mistake",
            "route[0].upstream",
        ]

    @pytest.mark.parametrize(("name", "found"), [("missing.toml", "No such file"), ("", "Is a directory")])
    def test_file_that_cannot_be_read_is_the_only_problem(self, site: Site, name: str, found: str) -> None:
        (problem,) = app.check(site.directory / name)
        assert found in problem.found

    def test_file_that_is_no_toml_is_the_only_problem(self, site: Site) -> None:
        (problem,) = app.check(site.write("[listener\n"))
        assert "line 1" in problem.found

    def test_unsuitable_interpreter_is_not_a_problem_of_the_file(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsuitable() -> None:
            raise InterpreterUnsuitable("an old ssl", "another Python")

        monkeypatch.setattr("proxy.tls.libssl.self_check", unsuitable)
        with pytest.raises(InterpreterUnsuitable, match="an old ssl; another Python"):
            app.check(site.write(site.minimal))


class TestRun:
    """What keeps it from serving; serving itself is in `test_worker` and the integration tests."""

    def test_every_problem_is_raised_before_a_port_is_taken(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = listener("public", bind=f"127.0.0.1:{port}", groups=["nonsense"]) + site.identity + MINIMAL_REST
            with pytest.raises(ConfigError, match=r"listener\.public\.groups"):
                app.run(site.write(text), None)

    def test_all_are_raised_though_the_structure_is_wrong(self, site: Site) -> None:
        text = "mistake = 1\n" + listener("public", groups=["nonsense"]) + site.identity + MINIMAL_REST
        with pytest.raises(ConfigError) as caught:
            app.run(site.write(text), None)
        assert [problem.key for problem in caught.value.problems] == ["mistake", "listener.public.groups"]

    def test_port_in_use(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            text = listener("public", bind=f"127.0.0.1:{port}") + site.identity + MINIMAL_REST
            with pytest.raises(BindFailed, match=f"127.0.0.1:{port} cannot be used"):
                app.run(site.write(text + f'[log]\nfile = "{os.devnull}"\n'), None)

    def test_log_that_cannot_be_written_is_a_problem_of_the_file(self, site: Site) -> None:
        (site.directory / "log").symlink_to("log")  # refused for root as well
        with pytest.raises(ConfigError) as caught:
            app.run(site.write(site.minimal + '[log]\nfile = "log"\n'), None)
        (problem,) = caught.value.problems
        assert problem.key == "log.file"
        assert problem.found == '"log", which cannot be written: Too many levels of symbolic links'


class TestPrepareOpenssl:
    def test_provider_that_is_there_is_loaded(self, site: Site) -> None:
        """In a process of its own, as it stays loaded."""
        path = site.write('[openssl]\nproviders = ["legacy"]\n' + site.minimal)
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys; from pathlib import Path; from config.loader import load; from proxy.app import "
                "prepare_openssl; print(prepare_openssl(load(Path(sys.argv[1]))).providers)",
                str(path),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("('default', 'legacy')\n", "")

    def test_provider_that_is_missing_is_told(self, site: Site) -> None:
        loaded = load(site.write('[openssl]\nproviders = ["oqsprovider_of_tomorrow"]\n' + site.minimal))
        assert app.prepare_openssl(loaded).missing_providers == ("oqsprovider_of_tomorrow",)

    def test_module_is_looked_for_in_its_place_only(self, site: Site, tmp_path: Path) -> None:
        text = f'[openssl]\nproviders = ["legacy"]\nmodule_path = "{tmp_path}"\n' + site.minimal
        assert app.prepare_openssl(load(site.write(text))).missing_providers == ("legacy",)

    def test_nothing_is_written_to_disk(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        loaded = load(site.write(site.minimal))
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        monkeypatch.setattr("tempfile.gettempdir", lambda: pytest.fail("a locked-down service has no such place"))
        assert app.prepare_openssl(loaded).missing_providers == ()
        assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
