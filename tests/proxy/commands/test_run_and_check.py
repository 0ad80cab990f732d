"""`plexigate run` and `plexigate check`: what they say, where they say it, and with which status they end."""

import json
import re
import socket

import pytest

from proxy.tls.openssl.libssl import InterpreterUnsuitable
from tests.configurations import MINIMAL_REST, Site, listener
from tests.proxy.commands.test_cli import plexigate


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


@pytest.fixture
def faulty(site: Site) -> str:
    return (
        listener("public", groups=["X25519MLKEM786"], default="nobody")
        + site.identity.replace(str(site.chat.key), "missing.key")
        + MINIMAL_REST
    )


def without_user(text: str) -> str:
    """What was printed, whoever runs the tests: root is warned to name a user for the workers."""
    return re.sub(r"(?m)^warning  user\n(?: .*\n|\n)*", "", text)


class TestCheck:
    def test_usable_file(self, site: Site) -> None:
        path = site.write(site.minimal)
        result = plexigate("check", str(path))
        assert (result.exit_code, without_user(result.stdout), result.stderr) == (0, f"{path} can be used.\n", "")

    def test_every_problem_with_file_key_found_and_allowed(self, site: Site, faulty: str) -> None:
        path = site.write(faulty)
        result = plexigate("check", str(path))
        assert result.exit_code == 1
        lines = without_user(result.stdout).splitlines()
        assert [line for line in lines if line.startswith("error")] == [
            "error  listener.public.default",
            "error  identity.chat.key",
            "error  listener.public.groups",
        ]
        places = [line.split()[1].removeprefix(str(path)) for line in lines if line.startswith("  in ")]
        text = path.read_text().splitlines()
        assert [text[int(place.split(":")[1]) - 1].split(" ")[0] for place in places] == ["default", "key", "groups"]
        assert sum(line.strip().startswith("found ") for line in lines) == 3
        assert sum(line.strip().startswith("allowed ") for line in lines) == 3
        assert "did you mean X25519MLKEM768?" in result.stdout
        assert "can be used" not in result.stdout

    def test_json_has_the_same(self, site: Site, faulty: str) -> None:
        path = site.write(faulty)
        result = plexigate("check", "--json", str(path))
        assert result.exit_code == 1
        answer = json.loads(result.stdout)
        assert answer["file"] == str(path)
        assert answer["ok"] is False
        assert [problem["key"] for problem in answer["problems"] if problem["key"] != "user"] == [
            "listener.public.default",
            "identity.chat.key",
            "listener.public.groups",
        ]
        for problem in answer["problems"]:
            assert set(problem) == {"file", "key", "found", "allowed", "severity", "line", "column"}
            last = problem["key"].rpartition(".")[2]
            is_there = problem["key"] != "user"
            assert not is_there or path.read_text().splitlines()[problem["line"] - 1][
                problem["column"] - 1 :
            ].startswith(last)

    def test_json_of_a_usable_file(self, site: Site) -> None:
        path = site.write(site.minimal)
        result = plexigate("check", "--json", str(path))
        assert result.exit_code == 0
        answer = json.loads(result.stdout)
        problems = [problem for problem in answer.pop("problems") if problem["key"] != "user"]
        assert (answer, problems) == ({"file": str(path), "ok": True}, [])

    def test_warnings_are_shown_and_no_failure(self, site: Site) -> None:
        strict = listener("public", level="quantum-safe", weaker_signatures=True)
        path = site.write(strict + site.identity + MINIMAL_REST)
        result = plexigate("check", str(path))
        assert result.exit_code == 0
        assert result.stdout.startswith("warning  listener.public.weaker_signatures\n")
        assert result.stdout.endswith("can be used.\n")

    def test_missing_file(self, site: Site) -> None:
        result = plexigate("check", str(site.directory / "missing.toml"))
        assert result.exit_code == 1
        assert "No such file or directory" in result.stdout

    def test_file_cannot_write_to_the_terminal(self, site: Site) -> None:
        path = site.write('[listener."\\u001b[2Jgone"]\nbind = "127.0.0.1:0"\n' + site.identity + MINIMAL_REST)
        result = plexigate("check", str(path))
        assert result.exit_code == 1
        assert "\x1b" not in result.stdout


class TestRun:
    def test_problems_go_to_standard_error(self, site: Site, faulty: str) -> None:
        result = plexigate("run", str(site.write(faulty)))
        assert (result.exit_code, result.stdout) == (1, "")
        assert "error  identity.chat.key" in result.stderr

    def test_port_in_use_is_told_as_any_other_problem(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            bind = f"127.0.0.1:{taken.getsockname()[1]}"
            text = listener("public", bind=bind) + site.identity + MINIMAL_REST + '[log]\nfile = "/dev/null"\n'
            result = plexigate("run", str(site.write(text)))
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error  listener.public.bind[0]\n")
        assert f"{bind}, which cannot be used: Address already in use" in result.stderr

    def test_log_format_is_one_of_two(self, site: Site) -> None:
        result = plexigate("run", "--log-format", "xml", str(site.write(site.minimal)))
        assert result.exit_code == 2
        assert "json" in result.stderr
        assert "pretty" in result.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_unsuitable_interpreter_is_one_sentence(site: Site, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsuitable() -> None:
        raise InterpreterUnsuitable("the ssl module is built into this Python", "use /usr/bin/python3")

    monkeypatch.setattr("proxy.tls.openssl.libssl.self_check", unsuitable)
    result = plexigate(command, str(site.write(site.minimal)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "plexigate: the ssl module is built into this Python; use /usr/bin/python3\n"
