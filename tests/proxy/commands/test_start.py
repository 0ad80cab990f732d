"""The entry of the command: no configuration of OpenSSL from the environment, no modules from the current directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxy.commands import start
from tests.configurations import Site

# Harmful to a server of TLS 1.3, and obeyed by every program that uses this OpenSSL.
HARMFUL = """
openssl_conf = main
[main]
ssl_conf = ssl
[ssl]
system_default = no_tls_1_3
[no_tls_1_3]
MaxProtocol = TLSv1.2
Groups = P-521
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


class Executed(Exception):
    """The process would be another one now."""


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (["python3", __file__, "run", "a file"], [__file__]),
        (["python3", "-m", "proxy.commands.start", "run", "a file"], ["-m", "proxy.commands.start"]),
        (["python3", "/nowhere/plexigate", "run", "a file"], ["-m", "proxy.commands.start"]),
    ],
    ids=["script", "module", "missing"],
)
def test_process_starts_once_more_without_the_variable(
    monkeypatch: pytest.MonkeyPatch, words: list[str], again: list[str]
) -> None:
    seen: list[tuple[str, Sequence[str], dict[str, str]]] = []

    def execve(path: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        seen.append((path, arguments, environment))
        raise Executed

    monkeypatch.setattr(os, "execve", execve)
    monkeypatch.setenv("OPENSSL_CONF", "/etc/evil.cnf")
    monkeypatch.setenv("KEPT", "as it is")
    monkeypatch.setattr(sys, "argv", ["plexigate", "run", "a file"])
    monkeypatch.setattr(sys, "orig_argv", words)
    with pytest.raises(Executed):
        start.main()
    ((path, arguments, environment),) = seen
    assert path == sys.executable
    assert arguments == [sys.executable, "-P", *again, "run", "a file"]
    assert "OPENSSL_CONF" not in environment
    assert environment["KEPT"] == "as it is"


def test_without_it_the_command_runs_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("OPENSSL_CONF", raising=False)
    monkeypatch.setattr(sys, "argv", ["plexigate", "--version"])
    with pytest.raises(SystemExit) as caught:
        start.main()
    assert not caught.value.code
    assert capsys.readouterr().out.startswith("plexigate ")


def plexigate(*arguments: str, directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("plexigate")), *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=directory,
        env={**os.environ, **environment},
    )


def test_harmful_configuration_is_not_obeyed(site: Site, tmp_path: Path) -> None:
    harmful = tmp_path / "openssl.cnf"
    harmful.write_text(HARMFUL)
    context = "import ssl; print(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).maximum_version.name)"
    told = subprocess.run(
        [sys.executable, "-c", context],
        env={**os.environ, "OPENSSL_CONF": str(harmful)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert told.stdout == "TLSv1_2\n"  # it would be
    done = plexigate("check", str(site.write(site.minimal)), directory=tmp_path, OPENSSL_CONF=str(harmful))
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_in_the_current_directory_are_not_ours(site: Site, tmp_path: Path) -> None:
    for name in ("ssl.py", "typing.py", "proxy.py"):
        (tmp_path / name).write_text("raise SystemExit('taken from the current directory')\n")
    done = plexigate("check", str(site.write(site.minimal)), directory=tmp_path, OPENSSL_CONF="")
    assert (done.returncode, done.stderr) == (0, "")


def test_python_without_ssl_is_told_in_one_sentence() -> None:
    code = "import sys; sys.modules['ssl'] = None; from proxy.commands.start import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "plexigate: this Python has no ssl module; use a Python that has one, such as /usr/bin/python3\n"
    )


INTERRUPTED = """
import os, signal, sys

module, handler = sys.argv[1:]
sys.argv[:] = ["plexigate", "run", "/nowhere/plexigate.toml"]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, getattr(signal, handler))
from proxy.commands.start import main
try:
    main()
finally:
    print(signal.getsignal(signal.SIGINT) is getattr(signal, handler))
"""


def interrupted(module: str, handler: str) -> "subprocess.CompletedProcess[str]":
    """Run the command, which gets Ctrl-C while it imports a module."""
    command = [sys.executable, "-c", INTERRUPTED, module, handler]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "module",
    ["ssl", "proxy.commands.cli", "proxy.commands.run_and_check", "uvloop", "proxy.commands.terminal.output"],
)
def test_an_interrupted_start_ends_without_a_word(module: str) -> None:
    done = interrupted(module, "default_int_handler")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


def test_an_interruption_is_the_commands_own_once_it_runs() -> None:
    done = interrupted("none", "default_int_handler")
    assert (done.returncode, done.stdout) == (1, "True\n")
    assert "No such file" in done.stderr


def test_who_ignores_interruptions_goes_on_to_do_so() -> None:
    done = interrupted("proxy.commands.cli", "SIG_IGN")
    assert (done.returncode, done.stdout) == (1, "True\n")
    assert "No such file" in done.stderr
