"""Everything that is wrong with a configuration."""

import os
import socket
from pathlib import Path

import pytest

from config.values.problems import Problem
from proxy.commands import check as checking
from proxy.tls.openssl.libssl import InterpreterUnsuitable
from tests.configurations import MINIMAL_REST, Site, listener


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def check(file: Path) -> tuple[Problem, ...]:
    """What is wrong with a file, whoever runs the tests: root is told that it should not serve."""
    return tuple(problem for problem in checking.check(file) if problem.key != "user")


class TestCheck:
    def test_usable_configuration_has_no_problems(self, site: Site) -> None:
        assert check(site.write(site.minimal)) == ()

    def test_separate_process_finds_the_same(self, site: Site) -> None:
        file = site.write(listener("public", groups=["X25519MLKEM786"]) + site.identity + MINIMAL_REST)
        assert [one.key for one in checking.check_apart(file)] == [one.key for one in checking.check(file)]
        assert [one.found for one in checking.check_apart(file.with_name("gone.toml"))] == [
            "No such file or directory when reading it"
        ]

    def test_warnings_are_told_once(self, site: Site) -> None:
        text = (
            listener("public", level="quantum-safe", pq="report", weaker_signatures=True) + site.identity + MINIMAL_REST
        )
        found = check(site.write(text))
        assert sorted(problem.key for problem in found) == ["listener.public.pq", "listener.public.weaker_signatures"]
        assert not any(problem.is_error for problem in found)

    def test_key_of_the_audit_log_is_tried(self, site: Site) -> None:
        text = site.minimal + '[audit]\nfile = "audit.jsonl"\ncheckpoint_key = "missing.key"\n'
        assert [problem.key for problem in check(site.write(text))] == ["audit.checkpoint_key"]

    def test_the_sealing_key_is_tried_also_where_nothing_is_sealed_yet(self, site: Site) -> None:
        text = site.minimal + '[sealing]\nkey = "missing.key"\ndirectory = "seal"\n'
        found = [problem.found for problem in check(site.write(text)) if problem.key == "sealing.key"]
        assert any("what is to be stored on disk" in one for one in found)

    def test_structure_credentials_and_groups_are_judged_together(self, site: Site) -> None:
        text = (
            listener("public", groups=["X25519MLKEM786"], default="nobody", mistake=1)
            + site.identity.replace(str(site.chat.key), "missing.key")
            + MINIMAL_REST.replace('upstream = "chat"', 'upstream = "nowhere"')
        )
        assert sorted({problem.key for problem in check(site.write(text)) if problem.is_error}) == [
            "identity.chat.key",
            "listener.public.default",
            "listener.public.groups",
            "listener.public.mistake",
            "route[0].upstream",
        ]

    @pytest.mark.parametrize(
        ("mistake", "key"),
        [
            (('upstream = "chat"', 'upstream = "chatt"'), "route[0].upstream"),
            (
                ('host = "chat.test"', 'host = "chat.test"\nupstream = "chat"\n[[route]]\nhost = "chat.test"'),
                "route[1]",
            ),
            (('servers = ["http://127.0.0.1:1"]', "servers = []"), "upstream.chat.servers"),
            (("servers =", 'balance = "sticky-cookie"\nservers ='), "upstream.chat"),
            (("servers =", 'balance = "consistent-hash"\nservers ='), "upstream.chat"),
            (("servers =", 'balance = "consistent-hash"\nhash_on = "x"\nservers ='), "upstream.chat.hash_on"),
            (
                ('host = "chat.test"', 'host = "chat.test"\npayload = "require"\npayload_ring = "x"'),
                "route[0].payload_ring",
            ),
        ],
    )
    def test_an_everyday_mistake_is_the_only_thing_that_is_said(
        self, site: Site, mistake: tuple[str, str], key: str
    ) -> None:
        assert [problem.key for problem in check(site.write(site.minimal.replace(*mistake)))] == [key]

    def test_unknown_groups_are_named_also_where_the_policy_leaves_none(self, site: Site) -> None:
        text = listener("public", level="critical", pq="off", groups=["nonsense"]) + site.identity + MINIMAL_REST
        (groups,) = [problem for problem in check(site.write(text)) if problem.key == "listener.public.groups"]
        assert "'nonsense'" in groups.found

    def test_a_mistake_beside_a_token_is_no_fault_of_its_module(self, site: Site) -> None:
        module = site.directory / "module.so"
        module.write_bytes(b"no library")
        (site.directory / "pin").write_text("1234")
        hsm = f'[hsm]\nmodule = "{module}"\n[hsm.token.a]\npin_file = "pin"\n'
        text = site.minimal.replace('upstream = "chat"', 'upstream = "chatt"') + hsm
        keys = [problem.key for problem in check(site.write(text)) if problem.is_error]
        assert "route[0].upstream" in keys
        assert not any("exit status" in problem.found for problem in check(site.write(text)))

    def test_a_fault_of_ours_beside_a_token_is_not_blamed_on_its_module(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = site.directory / "module.so"
        module.write_bytes(b"no library")
        ours = site.directory / "ours"
        ours.mkdir()
        (ours / "sitecustomize.py").write_text(
            "import config.loading.loader\nconfig.loading.loader.survey = lambda path: None\n"
        )
        monkeypatch.setattr(
            checking, "worker_environment", lambda environment: {**environment, "PYTHONPATH": str(ours)}
        )
        text = site.minimal + f'[hsm]\nmodule = "{module}"\n[hsm.token.a]\npin_file = "pin"\n'
        with pytest.raises(checking.CheckFell, match="AttributeError"):
            check(site.write(text))

    def test_what_a_start_would_be_refused_for_is_tried(self, site: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            text = listener("public", bind=["192.0.2.1:0", f"127.0.0.1:{other.getsockname()[1]}"]) + site.identity
            text += MINIMAL_REST + '[rotation]\nstate = "chat.pem"\n[alerts]\ncommand = ["/missing"]\n'
            text += '[issuer.ca]\ntype = "acme"\ndirectory = "https://ca.test"\nroot_file = "chat.key"\n'
            text += '[audit]\nfile = "."\n'
            path = site.write(text)
            path.write_text(path.read_text().replace('plexigate.sock"', 'chat.pem/a.sock"'))
            found = check(path)
        assert {problem.key for problem in found if problem.is_error} == {
            "admin.socket",
            "listener.public.bind[0]",
            "listener.public.bind[1]",
            "rotation.state",
            "audit.file",
        }
        # for renewals, and no identity has one
        assert {"alerts.command[0]", "issuer.ca.root_file"} <= {problem.key for problem in found}

    def test_nothing_is_written_and_no_directory_is_made(self, site: Site) -> None:
        issued = (
            '[identity.two]\nnames = ["two.test"]\n[[identity.two.credential]]\nkey = "ec-p256@file"\nissuer = "ca"\n'
        )
        text = site.minimal + issued + '[issuer.ca]\ntype = "internal"\nkey = "ec-p256@file"\nroot = "ec-p256@file"\n'
        text += 'names = ["*.test"]\n[rotation]\nstate = "state"\n[payload]\ndirectory = "rings"\n[payload.ring.ours]\n'
        text += '[payload.sessions]\n[log]\nfile = "proxy.log"\n[audit]\nfile = "audit.log"\n'
        path = site.write(text)

        def files() -> set[tuple[Path, int]]:
            return {(one, one.stat().st_mtime_ns) for one in site.directory.rglob("*")}

        before = files()
        assert not any(problem.is_error for problem in check(path))
        assert files() == before

    @pytest.mark.parametrize(("name", "found"), [("missing.toml", "No such file"), ("", "Is a directory")])
    def test_file_that_cannot_be_read_is_the_only_problem(self, site: Site, name: str, found: str) -> None:
        (problem,) = check(site.directory / name)
        assert found in problem.found

    def test_file_that_is_no_toml_is_the_only_problem(self, site: Site) -> None:
        (problem,) = check(site.write("[listener\n"))
        assert (problem.line, problem.column) == (3, 10)  # behind what was written before it

    @pytest.mark.skipif(os.geteuid() != 0, reason="run as root: only root can do without a user")
    def test_root_is_told_to_name_a_user(self, site: Site) -> None:
        (problem,) = checking.check(site.write(site.minimal))
        assert (problem.key, problem.is_error) == ("user", False)

    def test_user_that_is_missing_stands_beside_the_rest(self, site: Site) -> None:
        text = 'user = "nobody-of-that-name"\n' + listener("public", groups=["nonsense"]) + site.identity + MINIMAL_REST
        assert [problem.key for problem in checking.check(site.write(text))] == ["listener.public.groups", "user"]

    def test_unsuitable_interpreter_is_not_a_problem_of_the_file(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unsuitable() -> None:
            raise InterpreterUnsuitable("an old ssl", "another Python")

        monkeypatch.setattr("proxy.tls.openssl.libssl.self_check", unsuitable)
        with pytest.raises(InterpreterUnsuitable, match="an old ssl; another Python"):
            check(site.write(site.minimal))
