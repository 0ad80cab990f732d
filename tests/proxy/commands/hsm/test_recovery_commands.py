"""`plexigate hsm init` and `recover`, run as programs: through pipes, and on a terminal with
somebody at the keys."""

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from certs.audit.verification import LogSource, verify
from certs.hierarchy.configured import vault_of
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key, load_key
from config.loading.loader import survey
from proxy.commands.hsm.recovery_terminal import NoOutput
from proxy.supervisor.secrets.safe import now_in_utc
from tests import prepared
from tests.certs.recovery.places import leaks
from tests.programs import PLEXIGATE
from tests.proxy.commands.hsm.conftest import Command

SHARE = re.compile(r"Share (\d+) of \d+; any \d+ of them bring the key back\.\r?\n\r?\n((?: +\d+\. \w+.*\r?\n)+)")


def command(*arguments: str | Path) -> list[str]:
    return [PLEXIGATE, "hsm", *map(str, arguments)]


def run(*arguments: str | Path, shares: str = "") -> subprocess.CompletedProcess[str]:
    return prepared.run(command(*arguments), {"NO_COLOR": "1", "TERM": "dumb"}, typed=shares)


def shares_in(text: str) -> list[str]:
    """The words of each share on a screen, in order."""
    found = []
    for match in SHARE.finditer(text):
        words = {int(number): word for number, word in re.findall(r"(\d+)\. (\w+)", match[2])}
        found.append(" ".join(words[number] for number in sorted(words)))
    return found


class Screen:
    """A program on a terminal of its own."""

    def __init__(self, *arguments: str | Path) -> None:
        self._master, slave = os.openpty()
        self._program = subprocess.Popen(
            command(*arguments), stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self.text = ""

    def wait_for(self, text: str, times: int = 1) -> None:
        end = time.monotonic() + 60
        while self.text.count(text) < times:
            assert time.monotonic() < end, self.text
            if select.select([self._master], [], [], 1)[0]:
                self.text += os.read(self._master, 65_536).decode()

    def type(self, text: str) -> None:
        os.write(self._master, text.encode() + b"\n")

    def interrupt(self) -> None:
        """Ctrl-C, and again if nothing comes of it: a signal just before a read does not end the
        read."""
        for _ in range(10):
            self._program.send_signal(signal.SIGINT)
            if select.select([self._master], [], [], 5)[0]:
                break

    def end(self) -> int:
        try:
            while chunk := os.read(self._master, 65_536):
                self.text += chunk.decode()
        except OSError:  # EIO: nobody has the other side open
            pass
        os.close(self._master)
        return self._program.wait(60)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "sealing.key"


def test_made_lost_and_brought_back_through_pipes(key: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    made = run("init", "--key-file", key, "--threshold", "2", "--shares", "4", "--yes", "--audit-log", log)
    assert made.returncode == 0, made.stderr
    shares = shares_in(made.stdout)
    assert [len(share.split()) for share in shares] == [33] * 4
    assert "this key was made in the memory of this process" in made.stderr
    check = re.search(r"Check value: ([0-9a-f]{16})", made.stderr)
    assert check is not None

    secret = load_key(key).secret
    key.unlink()
    given = f"{shares[3]}\nacid\n{shares[3]}\n{shares[1]}\n"
    again = run("recover", "--key-file", key, "--check", check[1], "--audit-log", log, shares=given)
    assert again.returncode == 0, again.stderr
    assert again.stdout == ""
    assert "Refused: a share of this key has 33 words; these are 1." in again.stderr
    assert "Refused: share 4 was already given." in again.stderr
    assert load_key(key).secret == secret

    content = log.read_bytes()
    assert verify([LogSource("audit.jsonl", content.splitlines(keepends=True))]).is_intact
    assert [line.split(b'"', 4)[3] for line in content.splitlines() if b'"kind":"operation"' in line] == [
        b"split", b"import", b"import", b"recover",
    ]  # fmt: skip
    for share in shares:
        assert not leaks(share.split(), content.decode() + made.stderr + again.stderr)
    assert secret.hex().encode() not in content


def test_what_init_has_written_to_a_file_brings_the_key_back(key: Path) -> None:
    written = run("init", "--key-file", key, "--yes").stdout
    secret = load_key(key).secret
    key.unlink()
    again = run("recover", "--key-file", key, shares=written)
    assert again.returncode == 0, again.stderr
    assert load_key(key).secret == secret


def test_on_a_terminal_each_holder_is_asked_and_the_share_is_cleared(key: Path) -> None:
    screen = Screen("init", "--key-file", key, "--threshold", "2", "--shares", "3")
    for number in (1, 2, 3):
        screen.wait_for(f"Has the holder of share {number} written it down?")
        assert not key.exists()
        screen.type("y")
    assert screen.end() == 0
    parts = screen.text.split("\x1b[H\x1b[2J\x1b[3J")
    assert [len(shares_in(part)) for part in parts] == [1, 1, 1, 0]
    assert "this key was made in the memory of this process" in parts[3]

    secret = load_key(key).secret
    key.unlink()
    shares = shares_in(screen.text)
    screen = Screen("recover", "--key-file", key)
    for number, share in ((1, shares[2]), (2, shares[0])):
        screen.wait_for(f"Share {number}")
        screen.wait_for("an empty line ends", number)
        screen.type(share)
    assert screen.end() == 0
    assert load_key(key).secret == secret
    assert not any(leaks(share.split(), screen.text) for share in shares)


def test_a_holder_who_says_no(key: Path) -> None:
    screen = Screen("init", "--key-file", key, "--threshold", "2", "--shares", "2")
    screen.wait_for("Has the holder of share 1 written it down?")
    screen.type("n")
    assert screen.end() == 1
    assert "the key was not stored; destroy the shares" in screen.text
    assert not key.exists()


def operations(log: Path) -> list[tuple[str, str, str]]:
    lines = map(json.loads, log.read_bytes().splitlines())
    return [(line["action"], line["outcome"], line["detail"]) for line in lines if line["kind"] == "operation"]


def test_ended_by_ctrl_c_is_in_the_log(key: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    screen = Screen("init", "--key-file", key, "--threshold", "2", "--shares", "3", "--audit-log", log)
    screen.wait_for("Has the holder of share 1 written it down?")
    screen.type("y")
    screen.wait_for("Has the holder of share 2 written it down?")
    screen.interrupt()
    assert screen.end() == 130
    assert not key.exists()
    assert operations(log)[1:] == [("split", "given up", "interrupted at share 2 of 3")]

    screen = Screen("recover", "--key-file", key, "--audit-log", log)
    screen.wait_for("an empty line ends")
    screen.type("acid")
    screen.wait_for("an empty line ends", 2)
    screen.interrupt()
    assert screen.end() == 130
    assert operations(log)[2:] == [("recover", "given up", "interrupted with 0 shares; 1 was refused")]


def test_shares_that_are_not_enough_are_in_the_log(key: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    made = run("init", "--key-file", key, "--threshold", "2", "--shares", "2", "--yes")
    key.unlink()
    given = f"{shares_in(made.stdout)[0]}\nacid\nacid acid\n"
    assert run("recover", "--key-file", key, "--audit-log", log, shares=given).returncode == 1
    assert operations(log) == [("recover", "given up", "ended with 1 share; 2 were refused")]


def test_shares_are_not_written_to_a_file_by_mistake(key: Path) -> None:
    result = run("init", "--key-file", key)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "plexigate: standard input or output is not a terminal, and shares would go to a file or a pipe; allow that with --yes\n"
    )
    assert not key.exists()


@pytest.mark.parametrize("closed", [">&-", ">&- <&-"])
def test_no_key_is_made_whose_shares_nobody_would_see(key: Path, closed: str) -> None:
    words = shlex.join(command("init", "--yes", "--key-file", key))
    result = subprocess.run(
        ["sh", "-c", f"{words} {closed}"], stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (1, f"plexigate: {NoOutput()}\n")
    assert not key.exists()


def test_without_standard_input_nobody_can_be_asked(key: Path) -> None:
    for words, said in ((["init"], "standard input or output is not a terminal"), (["recover"], "ended with 0 shares")):
        line = f"{shlex.join(command(*words, '--key-file', key))} <&-"
        result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 1
        assert result.stderr.startswith(f"plexigate: {said}")
        assert not key.exists()


def test_without_recovery(key: Path) -> None:
    result = run("init", "--no-recovery", "--key-file", key)
    assert (result.returncode, result.stdout) == (0, "")
    assert "It has no recovery shares" in result.stderr
    assert len(load_key(key).secret) == 32


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "--threshold", "5", "--shares", "4", "--yes"], "found threshold 5 of 4 shares"),
        (["recover"], "ended with 0 shares: the key was not stored"),
    ],
)
def test_what_is_refused_in_one_sentence(key: Path, arguments: list[str], said: str) -> None:
    result = run(*arguments, "--key-file", key)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"plexigate: {said}")
    assert not key.exists()


@pytest.mark.parametrize("words", [["init", "--no-recovery"], ["init", "--yes"], ["recover"]])
@pytest.mark.parametrize("option", ["--token=plexi", "--module=/a.so", "--pin-file=a.pin", "--key-version=2"])
def test_a_key_goes_to_a_file_or_to_a_token(key: Path, words: list[str], option: str) -> None:
    result = run(*words, "--key-file", key, option)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"a token ({option.partition('=')[0]}) or --key-file" in " ".join(result.stderr.replace("│", "").split())
    assert not key.exists()


@pytest.mark.parametrize("words", [["init", "--yes"], ["recover"]])
def test_without_tokens_in_the_configuration_a_file_is_named_too(words: list[str], tmp_path: Path) -> None:
    config = tmp_path / "plexigate.toml"
    config.write_text("")
    result = run(*words, "--config", config)
    assert result.returncode == 1
    allowed = "a table [hsm], or --module, --token and --pin-file; or --key-file FILE"
    assert result.stderr == f"plexigate: {config}: hsm: found nothing; allowed: {allowed}\n"


def test_a_key_that_is_there_stays(key: Path) -> None:
    create_key(key)
    before = key.read_bytes()
    for arguments in (["init", "--yes"], ["recover"], ["init", "--no-recovery"]):
        result = run(*arguments, "--key-file", key)
        assert (result.returncode, result.stdout) == (1, "")
        assert "already" in result.stderr
    assert key.read_bytes() == before


def test_an_error_that_nobody_expected_shows_no_local_variable(key: Path) -> None:
    program = (
        "import certs.sealing.key_file as key_file\n"
        "from proxy.commands.start import main\n"
        "def fail(self, secret): raise RuntimeError('unexpected')\n"
        "key_file.KeyFileImporter.import_key = fail\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "hsm", "init", "--yes", "--key-file", str(key)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "unexpected" in result.stderr
    for share in shares_in(result.stdout):
        assert not leaks(share.split(), result.stderr)
    assert "bytearray(b" not in result.stderr


def test_the_wrong_key_is_not_brought_back_to_what_another_one_has_sealed(key: Path, tmp_path: Path) -> None:
    config = tmp_path / "p.toml"
    config.write_text('[sealing]\nkey = "sealing.key"\ndirectory = "sealed"\n')
    options = ("--key-file", key, "--config", config)
    many = ("--threshold", "2", "--shares", "2", "--yes")
    right, wrong = (shares_in(run("init", "--key-file", tmp_path / name, *many).stdout) for name in ("a.key", "b.key"))
    (tmp_path / "a.key").rename(key)
    found(config)
    key.unlink()
    refused = run("recover", *options, shares="\n".join(wrong) + "\n")
    assert refused.returncode == 1
    assert f'"{tmp_path}/sealed/keys.sealed" is sealed with the key' in refused.stderr
    for words in (("init", *many), ("init", "--no-recovery")):
        refused = run(*words, *options)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "recover the earlier key (plexigate hsm recover)" in refused.stderr
    assert not key.exists()
    again = run("recover", *options, shares="\n".join(right) + "\n")
    assert again.returncode == 0, again.stderr
    assert found(config)
    (tmp_path / "sealed/keys.sealed").unlink()
    key.unlink()
    assert run("init", "--no-recovery", *options).returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [("[sealing]\nkey = 1\n", "sealing.key: found"), ("[sealing\n", "no TOML"), (None, "No such file")],
)
def test_no_key_is_made_where_it_is_not_known_what_was_sealed(
    key: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    config = tmp_path / "p.toml"
    if text is not None:
        config.write_text(text)
    refused = run("init", "--no-recovery", "--key-file", key, "--config", config)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert not key.exists()


def found(config: Path) -> bytes:
    """Have keys below the sealing key, and the id of one of them."""
    loaded = survey(config).loaded
    assert loaded is not None
    vault = vault_of(loaded, now_in_utc, lambda *_: None)
    assert vault is not None
    return vault.sealer(Purpose.TICKET_KEYS).key_id


class TestInAToken:
    """The same with a token in place of the file, through its own process."""

    def test_a_fresh_token_gets_the_key_that_opens_what_there_is(self, command: Command, tmp_path: Path) -> None:
        config = tmp_path / "p.toml"
        config.write_text(
            f'[hsm]\nmodule = "{command.hsm.module}"\n[hsm.token.plexi]\npin_file = "{command.hsm.pin_file()}"\n'
            '[sealing]\nkey = "pkcs11:token=plexi;object=sealing.aes-256.v1"\ndirectory = "sealed"\n'
        )
        options, many = ("--config", str(config)), ("--threshold", "2", "--shares", "2", "--yes")
        wrong = shares_in(run("init", "--key-file", tmp_path / "other.key", *many).stdout)
        made = command.plain("init", *many, *options)
        assert made.exit_code == 0, made.output
        before = found(config)
        assert command.run("destroy", "sealing.aes-256.v1", "--yes", "--unverified").exit_code == 0
        refused = command.plain("recover", *options, answer="\n".join(wrong) + "\n")
        assert refused.exit_code == 1
        assert 'the key of these shares does not open "' in refused.stderr
        for words in (("init", *many), ("init", "--no-recovery")):
            refused = command.plain(*words, *options)
            assert (refused.exit_code, "plexigate hsm recover" in refused.stderr) == (1, True), refused.output
        refused = command.plain(
            "recover", "--key-version", "2", *options, answer="\n".join(shares_in(made.stdout)) + "\n"
        )
        assert (refused.exit_code, "under the same --key-version" in refused.stderr) == (1, True), refused.output
        assert "sealing.aes-256" not in command.run("list").stdout
        again = command.plain("recover", *options, answer="\n".join(shares_in(made.stdout)) + "\n")
        assert again.exit_code == 0, again.output
        assert found(config) == before

    def test_made_lost_and_brought_back(self, command: Command, tmp_path: Path) -> None:
        log = tmp_path / "audit.jsonl"
        made = command.run("init", "--threshold", "2", "--shares", "3", "--yes", "--audit-log", str(log))
        assert made.exit_code == 0, made.output
        assert "token plexi, sensitive and not extractable" in made.stderr
        assert "sealing.aes-256.v1" in command.run("list").stdout
        shares = shares_in(made.stdout)
        again = command.run("recover", answer=f"{shares[0]}\n{shares[2]}\n")
        assert (again.exit_code, "already has a key sealing.aes-256.v1" in again.stderr) == (1, True)
        assert command.run("destroy", "sealing.aes-256.v1", "--yes", "--unverified").exit_code == 0
        again = command.run("recover", "--audit-log", str(log), answer=f"{shares[0]}\n{shares[2]}\n")
        assert again.exit_code == 0, again.output
        assert "sealing.aes-256.v1" in command.run("list").stdout
        assert verify([LogSource("audit.jsonl", log.read_bytes().splitlines(keepends=True))]).is_intact

    def test_without_recovery(self, command: Command) -> None:
        result = command.run("init", "--no-recovery", "--key-version", "2")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "sealing.aes-256.v2" in command.run("list").stdout

    def test_without_a_token_or_a_file(self, command: Command) -> None:
        result = command.plain("init", "--no-recovery")
        assert (result.exit_code, "no token chosen" in result.stderr) == (1, True)
