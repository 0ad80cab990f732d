"""How the process starts or refuses to: sentences instead of tracebacks, and nothing from an environment that it did not ask for."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import config
from tests import prepared
from tests.broken_documents import World, as_toml, broken
from tests.configurations import MINIMAL_REST, Site, listener
from tests.integration.gateway import Trust, complaints, events, gateway
from tests.integration.upstreams import ScriptedServer
from tests.prepared_children import refused
from tests.programs import PLEXIGATE, plexigate_listeners, program

SHIPPED = Path(config.__file__).parent
HARMFUL = """
openssl_conf = main
[main]
ssl_conf = ssl
providers = providers
[ssl]
system_default = no_tls_1_3
[no_tls_1_3]
MaxProtocol = TLSv1.2
Groups = P-521
[providers]
default = default
legacy = default
[default]
activate = 1
"""


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("startup"))


def plexigate(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command; it is forked, as this is about what it says, and `tests/test_prepared.py` about its start."""
    return prepared.run([PLEXIGATE, *arguments], {"COLUMNS": "200", **environment}, 30)


def sentence(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line that a refusal consists of."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    return line


class TestReady:
    def test_it_reports_what_is_really_offered(self, trust: Trust, echo_server: ScriptedServer, tmp_path: Path) -> None:
        with gateway(
            tmp_path,
            trust,
            echo_server,
            listener("standard") + listener("off", pq="off", bind=["127.0.0.1:0", "[::1]:0"]),
        ) as running:
            pass
        (ready,) = events(running.program.output, "ready")
        version = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.split()[1]
        assert ready["openssl"] == version
        assert re.fullmatch(r"/.*/libssl\.so\.3", ready["libssl"])
        assert ready["providers"] == ["default"]
        assert [len(addresses) for addresses in ready["listeners"].values()] == [1, 2]
        assert ready["listeners"]["off"][1].startswith("[::1]:")
        assert ready["offers"]["off"]["groups"] == "X25519:secp256r1:secp384r1"
        assert ready["offers"]["standard"]["identities"]["dual"] == ["ecdsa-p256", "mldsa-65"]
        assert complaints(running.program.output) == []

    def test_openssl_conf_of_the_environment_is_not_obeyed(
        self, trust: Trust, echo_server: ScriptedServer, tmp_path: Path
    ) -> None:
        harmful = tmp_path / "openssl.cnf"
        harmful.write_text(HARMFUL)
        with gateway(
            tmp_path, trust, echo_server, listener("standard"), environment={"OPENSSL_CONF": str(harmful)}
        ) as running:
            environment = Path(f"/proc/{running.program.pid}/environ").read_bytes()
            assert b"OPENSSL_CONF=" not in environment
            assert "legacy" not in Path(f"/proc/{running.program.pid}/maps").read_text()
            assert running.s_client("-groups", "X25519MLKEM768").is_established
            assert running.s_client("-groups", "secp521r1").alert == 40

    def test_log_goes_to_its_file(self, chat: Site, tmp_path: Path) -> None:
        log = tmp_path / "plexigate.log"
        path = chat.write(chat.minimal + f'[log]\nfile = "{log}"\n', "logged.toml")
        with refused():
            process = subprocess.Popen([PLEXIGATE, "run", str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        while not (log.exists() and b'"event": "ready"' in log.read_bytes()):
            assert process.poll() is None
        process.terminate()
        output, _ = process.communicate(timeout=30)
        assert (process.returncode, output) == (0, b"")
        assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == ["warning", "ready", "stopped"]
        assert log.stat().st_mode & 0o077 == 0

    def test_warning_is_logged_and_stops_nothing(self, chat: Site) -> None:
        strict = listener("public", level="quantum-safe", weaker_signatures=True)
        path = chat.write(strict + chat.identity + MINIMAL_REST, "warned.toml")
        with program([PLEXIGATE, "run", str(path)], plexigate_listeners) as running:
            pass
        found = [warning["key"] for warning in events(running.output, "warning")]
        assert [key for key in found if key != "user"] == ["listener.public.weaker_signatures"]


class TestRefusals:
    def test_port_in_use(self, chat: Site) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            bind = f"127.0.0.1:{taken.getsockname()[1]}"
            path = chat.write(listener("public", bind=bind) + chat.identity + MINIMAL_REST, "taken.toml")
            done = plexigate("run", str(path))
        assert (done.returncode, done.stdout) == (1, "")
        said = " ".join(done.stderr.split())
        assert f"listener.public.bind[0] in {path}:" in said
        assert f"found {bind}, which cannot be used: Address already in use" in said
        assert "ss -ltnp" in said

    def test_port_that_needs_a_right(self, chat: Site) -> None:
        first_free = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if first_free < 444:
            pytest.skip("sysctl net.ipv4.ip_unprivileged_port_start=1024: here every port is free for everybody")
        path = chat.write(listener("public", bind="127.0.0.1:443") + chat.identity + MINIMAL_REST, "privileged.toml")
        without = ["setpriv", "--bounding-set=-net_bind_service", "--"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*without, PLEXIGATE, "run", str(path)], capture_output=True, text=True, timeout=30, check=False
        )
        said = " ".join(done.stderr.split())
        assert done.returncode == 1
        assert "127.0.0.1:443, which cannot be used: Permission denied" in said
        assert "CAP_NET_BIND_SERVICE" in said

    @pytest.mark.parametrize(
        ("spoil", "found"),
        [
            ("import _ssl; del _ssl.__file__", "the ssl module is built into this Python"),
            ("import _ssl, _ctypes; _ssl.__file__ = _ctypes.__file__", "is not linked dynamically to a libssl"),
            ("sys.modules['ssl'] = None", "this Python has no ssl module"),
        ],
    )
    @pytest.mark.parametrize("command", ["run", "check"])
    def test_unsuitable_interpreter(self, chat: Site, command: str, spoil: str, found: str) -> None:
        path = chat.write(chat.minimal, "minimal.toml")
        code = f"import sys\n{spoil}\nfrom proxy.commands.start import main\nsys.argv = ['plexigate', {command!r}, {str(path)!r}]\nmain()"
        said = sentence(
            subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
        )
        assert said.startswith("plexigate: ")
        assert found in said

    def test_provider_that_is_missing(self, chat: Site) -> None:
        path = chat.write('[openssl]\nproviders = ["oqsprovider_of_tomorrow"]\n' + chat.minimal, "provider.toml")
        done = plexigate("run", str(path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "openssl.providers[0]" in done.stderr
        assert '"oqsprovider_of_tomorrow", which OpenSSL cannot load' in done.stderr
        assert "openssl.module_path" in done.stderr
        assert "Traceback" not in done.stderr

    def test_unknown_group_with_those_that_there_are(self, chat: Site) -> None:
        text = listener("public", groups=["x25519_frodo640aes", "X25519"]) + chat.identity + MINIMAL_REST
        done = plexigate("run", str(chat.write(text, "group.toml")))
        assert (done.returncode, done.stdout) == (1, "")
        said = " ".join(done.stderr.split())
        assert "listener.public.groups" in said
        assert "there is no key exchange group 'x25519_frodo640aes'" in said
        for group in ("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "MLKEM1024", "X448"):
            assert group in said

    def test_log_that_cannot_be_written(self, chat: Site) -> None:
        path = chat.write(chat.minimal + '[log]\nfile = "/proc"\n', "unwritable.toml")
        done = plexigate("run", str(path))
        assert done.returncode == 1
        assert "log.file" in done.stderr
        assert '"/proc", which is a directory' in done.stderr
        assert "Traceback" not in done.stderr


class TestCheck:
    def faulty(self, chat: Site) -> Path:
        return chat.write(
            'surprise = 1\n[openssl]\nproviders = ["nonsense"]\n'
            + listener("public", groups=["X25519MLKEM786"], default="nobody")
            + listener("strict", level="critical", pq="off")
            + chat.identity.replace(str(chat.chat.key), "missing.key")
            + '[upstream.chat]\nservers = ["ftp://127.0.0.1"]\n[[route]]\nhost = "other.test"\nupstream = "nowhere"\n',
            "faulty.toml",
        )

    KEYS = (
        "surprise",
        "openssl.providers[0]",
        "listener.public.default",
        "listener.public.groups",
        "listener.strict.pq",
        "identity.chat.key",
        "upstream.chat.servers[0]",
        "route[0].host",
        "route[0].upstream",
    )

    def test_people_get_all_problems_at_once(self, chat: Site) -> None:
        done = plexigate("check", str(self.faulty(chat)))
        assert (done.returncode, done.stderr) == (1, "")
        shown = re.findall(r"^error  (\S+)$", done.stdout, re.MULTILINE)
        assert set(self.KEYS) <= set(shown)
        assert len(shown) == len(set(shown))

    def test_machines_get_the_same(self, chat: Site) -> None:
        done = plexigate("check", "--json", str(self.faulty(chat)))
        assert (done.returncode, done.stderr) == (1, "")
        answer = json.loads(done.stdout)
        assert answer["ok"] is False
        keys = [problem["key"] for problem in answer["problems"] if problem["severity"] == "error"]
        assert set(self.KEYS) <= set(keys)
        assert all(problem["found"] and problem["allowed"] for problem in answer["problems"])

    def test_run_says_the_same_to_standard_error(self, chat: Site) -> None:
        path = self.faulty(chat)
        checked, run = plexigate("check", str(path)), plexigate("run", str(path))
        assert run.stderr == checked.stdout
        assert (run.returncode, run.stdout) == (1, "")

    def test_the_example_broken_anywhere_is_refused_with_its_line_and_no_traceback(self, tmp_path: Path) -> None:
        """A few of those that the units try in one process, by the commands themselves."""
        world = World(tmp_path)
        faults = [one for one in broken(world.documents()["files"], world) if one.how == "'nonsense' instead"]
        path = tmp_path / "plexigate.toml"
        for one in faults[:: len(faults) // 5]:
            path.write_text(as_toml(one.document))
            done = plexigate("check", "--json", str(path))
            assert "Traceback" not in done.stderr
            problems = [problem for problem in json.loads(done.stdout)["problems"] if problem["severity"] == "error"]
            assert (done.returncode == 1) is (problems != [])
            assert all(problem["line"] and problem["column"] for problem in problems)

    @pytest.mark.parametrize("name", ["example.toml", "plexichat.toml", "dev.toml"])
    def test_shipped_files_lack_nothing_but_their_certificates_and_tokens(self, name: str) -> None:
        answer = json.loads(plexigate("check", "--json", str(SHIPPED / name)).stdout)
        for problem in answer["problems"]:
            # a start as root is warned of, and what rests beside its key
            if problem["key"] in {"user", "payload.directory", "sealing.key"}:
                continue
            own = r"identity\.[\w-]+\.(credential\[\d\]\.?)?(certificate|key)?|upstream\.rooms\.cookie\.secret|hsm\.token\.\w+\.pin_file"
            # an ordinary user may bind no low port, and has no state directory
            if re.fullmatch(r"listener\.\w+\.bind\[\d\]|rotation\.state", problem["key"]):
                assert re.search("cannot be used|cannot be written", problem["found"])
                continue
            assert re.fullmatch(own, problem["key"])
            assert re.search(
                "[Nn]o such file or directory|token is not there|certificate is not issued yet", problem["found"]
            )
