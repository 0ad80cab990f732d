"""An operator makes, sees, tries and destroys keys of a token."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from typer.main import get_group
from typer.testing import CliRunner

from certs.hsm.access import default_latch_directory
from certs.hsm.facts import KeyClass, KeyFacts, TokenFacts
from certs.hsm.used_versions import default_versions_directory
from proxy.commands.cli import app
from proxy.commands.hsm import commands
from proxy.commands.hsm.commands import key_uri
from proxy.observe.scrape import ConfigurationFacts
from tests.hsm_tokens import PIN, tell_apart
from tests.proxy.commands.admin_sockets import admin_socket
from tests.proxy.commands.hsm.conftest import Command
from tests.proxy.commands.test_running import Running, running

__all__ = ["running"]

COMMANDS = get_group(commands.app).commands


def configuration(command: Command, key: str = "chat.key") -> Path:
    path = command.hsm.directory / "plexigate.toml"
    path.write_text(
        f'[hsm]\nmodule = "{command.hsm.module}"\n[hsm.token.plexi]\npin_file = "token.pin"\n'
        f'[identity.chat]\nnames = ["chat.example"]\ncertificate = "c.pem"\nkey = "{key}"\n'
    )
    return path


def generated(command: Command, *arguments: str) -> dict[str, Any]:
    answer = command.run("generate", *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    document: dict[str, Any] = json.loads(answer.stdout)
    return document


def test_a_key_is_made_and_listed(command: Command) -> None:
    made = generated(command, "chat")
    assert (made["label"], made["identity"], made["version"], made["sign_only"]) == (
        "chat.ecdsa-p256.v1",
        "chat",
        1,
        True,
    )
    assert isinstance(load_pem_public_key(made["public_key"].encode()), ec.EllipticCurvePublicKey)
    assert made["uri"].startswith("pkcs11:token=plexi;object=chat.ecdsa-p256.v1;id=P%01")
    assert generated(command, "chat")["version"] == 2
    listed = json.loads(command.run("list", "--json").stdout)
    plexi = next(one for one in listed if one["label"] == "plexi")
    assert [key["label"] for key in plexi["keys"]] == ["chat.ecdsa-p256.v1", "chat.ecdsa-p256.v2"]
    assert plexi["pin"] == "fine"


def test_a_key_is_made_and_listed_for_people(command: Command) -> None:
    made = command.run("generate", "seal", "--kind", "aes-256")
    assert made.exit_code == 0
    assert 'key = "pkcs11:token=plexi;object=seal.aes-256.v1;id=' in made.stdout
    assert "BEGIN" not in made.stdout
    made = command.run("generate", "chat")
    assert "BEGIN PUBLIC KEY" in made.stdout
    listed = command.run("list").stdout
    assert "seal.aes-256.v1" in listed
    assert "SoftHSM v2" in listed


def test_without_a_pin_only_tokens_are_listed(command: Command) -> None:
    answer = command.plain("list", "--module", str(command.hsm.module), "--json")
    assert [one["keys"] for one in json.loads(answer.stdout)] == [None, None]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_option_that_shows_no_keys_alone_says_which_one_is_missing(command: Command, form: tuple[str, ...]) -> None:
    module = ("--module", str(command.hsm.module), *form)
    said = []
    for options in (("--token", "plexi"), ("--pin-file", str(command.hsm.pin_file()))):
        answer = command.plain("list", *module, *options)
        assert (answer.exit_code, "plexi" in answer.stdout) == (0, True)
        said.append(answer.stderr)
    assert said == [
        "plexigate: keys are not listed: found --token alone; allowed: --token together with --pin-file FILE\n",
        "plexigate: keys are not listed: found --pin-file alone; allowed: --pin-file together with --token TOKEN\n",
    ]
    assert command.plain("list", *module).stderr == ""
    assert command.run("list", *form).stderr == ""


def test_a_token_that_is_not_there_is_not_listed(command: Command) -> None:
    for name in ("nope", "serial=42", "slot=7"):
        answer = command.plain("list", "--module", str(command.hsm.module), "--token", name)
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert "present tokens: plexi (serial " in answer.stderr
    assert command.plain("list", "--module", str(command.hsm.module), "--token", "plexi").exit_code == 0


def test_a_configuration_names_the_token(command: Command) -> None:
    answer = command.plain("list", "--config", str(configuration(command)), "--json")
    assert answer.exit_code == 0, answer.output
    assert [one["keys"] for one in json.loads(answer.stdout) if one["label"] == "plexi"] == [[]]


def test_a_label_does_nothing_to_a_terminal(command: Command) -> None:
    label, shown = "pl[/b]\x1b[2J", r"pl[/b]\x1b[2J"
    command.hsm.init_token(label)
    options = ("--module", str(command.hsm.module), "--token", label, "--pin-file", str(command.hsm.pin_file()))
    for arguments, is_done in (
        (("list",), True),
        (("generate", "chat"), True),
        (("test", "--seconds", "0.1"), True),
        (("destroy", "chat.ecdsa-p256.v1", "--unverified"), True),
        (("destroy", "chat.ecdsa-p256.v1", "--unverified"), False),
    ):
        answer = command.plain(*arguments, *options, answer="y\n")
        assert (answer.exit_code == 0) is is_done, answer.output
        assert "\x1b" not in answer.output
        assert shown in answer.output or arguments[0] == "test"


def test_what_the_token_cannot_make_is_said(command: Command) -> None:
    answer = command.run("generate", "chat", "--kind", "mldsa-65")
    assert answer.exit_code == 1
    assert "plexi has no mldsa-65 keys" in answer.stderr


def test_an_identity_that_fits_no_label_is_said(command: Command) -> None:
    answer = command.run("generate", "a/b")
    assert answer.exit_code == 1
    assert "allowed: 1 to 40 ASCII letters" in answer.stderr


def test_a_destruction_asks_first(command: Command) -> None:
    generated(command, "chat")
    unknown = command.run("destroy", "chat.ecdsa-p256.v1", "--yes", "--socket", "/none/plexigate.sock")
    assert unknown.exit_code == 1
    assert "cannot verify that chat.ecdsa-p256.v1 is not in use: " in unknown.stderr
    assert "or --unverified" in unknown.stderr
    refused = command.run("destroy", "chat.ecdsa-p256.v1", "--unverified", answer="n\n")
    assert refused.exit_code == 1
    assert "This cannot be undone." in refused.output
    assert len(json.loads(command.run("list", "--json").stdout)[0]["keys"]) == 1
    done = command.run("destroy", "chat.ecdsa-p256.v1", "--unverified", answer="y\n")
    assert done.exit_code == 0
    assert "is gone" in done.output
    assert json.loads(command.run("list", "--json").stdout)[0]["keys"] == []


def test_machines_are_told_what_was_destroyed(command: Command) -> None:
    made = generated(command, "chat")
    done = command.run("destroy", made["label"], "--unverified", "--json", answer="y\n")
    assert done.exit_code == 0, done.output
    assert "This cannot be undone." not in done.stdout
    told = json.loads(done.stdout.removeprefix(" y\n"))  # what was typed
    assert "The workers were not asked" in told.pop("workers")
    assert told == {"label": made["label"], "id": made["id"], "token": "plexi", "uri": made["uri"], "ok": True}
    again = command.run("destroy", made["label"], "--yes", "--unverified", "--json")
    assert (again.exit_code, again.stdout) == (1, "")
    assert "no key with label" in again.stderr


def test_machines_are_told_what_is_gone_although_workers_do_not_say(command: Command) -> None:
    made = generated(command, "chat")
    with admin_socket(
        command.hsm.directory / "a.sock", [(200, {}), (200, {"uses": [], "workers": []}), (500, {"detail": "away"})]
    ):
        options = ("--yes", "--socket", str(command.hsm.directory / "a.sock"), "--json")
        done = command.run("destroy", made["label"], *options)
    told = json.loads(done.stdout)
    assert (done.exit_code, told["uri"], told["ok"]) == (1, made["uri"], False)
    assert told["workers"].endswith("a.sock: away; restart the proxy")
    assert "a.sock: away" in done.stderr


def test_a_key_in_use_is_not_destroyed(command: Command) -> None:
    made = generated(command, "chat")
    by_label = "pkcs11:token=plexi;object=chat.ecdsa-p256.v1"
    for uri in (made["uri"], by_label, by_label.replace("pkcs11:", "PKCS11:")):
        config = configuration(command, uri)
        answer = command.plain("destroy", "chat.ecdsa-p256.v1", "--yes", "--config", str(config))
        assert answer.exit_code == 1
        assert "identity.chat.key uses chat.ecdsa-p256.v1 of token plexi" in answer.stderr
    other = configuration(command, "pkcs11:token=plexi;object=other")
    assert command.plain("destroy", "chat.ecdsa-p256.v1", "--yes", "--config", str(other)).exit_code == 0


def test_where_versions_cannot_be_remembered_no_key_is_made(command: Command) -> None:
    default_versions_directory().parent.mkdir(exist_ok=True)
    default_versions_directory().write_text("in the way")
    refused = command.run("generate", "chat")
    assert (refused.exit_code, "key-versions" in refused.stderr) == (1, True)
    assert [one["keys"] for one in json.loads(command.run("list", "--json").stdout) if one["label"] == "plexi"] == [[]]


def test_the_version_of_a_destroyed_key_does_not_come_again(command: Command) -> None:
    labels = [generated(command, "race")["label"] for _ in range(2)]
    for label in labels:
        assert command.run("destroy", label, "--yes", "--unverified").exit_code == 0
    assert command.run("destroy", "race.ecdsa-p256.v9", "--yes", "--unverified").exit_code == 1
    assert generated(command, "race")["label"] == "race.ecdsa-p256.v3", "9 never was"
    assert generated(command, "race", "--kind", "rsa-3072")["version"] == 1, "each kind has its own"
    (known,) = default_versions_directory().glob("*.json")
    known.write_text("rubbish")
    answer = command.run("generate", "race")
    assert answer.exit_code == 1
    assert "versions of keys that were there" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("none",), "no key with label"), (("none", "--id", "zz"), "allowed: hexadecimal digits")],
)
def test_what_cannot_be_destroyed_is_said(command: Command, arguments: tuple[str, ...], said: str) -> None:
    answer = command.run("destroy", *arguments, "--yes")
    assert answer.exit_code == 1
    assert said in answer.stderr


def test_a_token_is_tried(command: Command) -> None:
    answer = command.run("test", "--seconds", "0.1", "--json")
    assert answer.exit_code == 0, answer.output
    report = json.loads(answer.stdout)
    assert report["ok"]
    assert {one["where"] for one in report["measured"]} == {"token", "software"}
    shown = command.run("test", "--seconds", "0.1").stdout
    assert "ML-KEM-1024 encapsulation" in shown
    assert "1568 bytes, FIPS 203 table 3: 1568" in shown


def test_a_refused_pin_is_latched_until_an_operator_says_so(command: Command) -> None:
    wrong = str(command.hsm.pin_file("wrong-pin", "wrong.pin"))
    options = ("--module", str(command.hsm.module), "--token", "plexi", "--pin-file", wrong)
    first, second = command.plain("list", *options), command.plain("list", *options)
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "refused (CKR_PIN_INCORRECT)" in first.stderr
    assert "plexigate hsm unlatch plexi" in second.stderr
    assert "was refused on" in second.stderr
    assert "can be tried again" in command.plain("unlatch", "plexi").stdout
    assert command.plain("unlatch", "plexi").exit_code == 1
    nothing = command.plain("unlatch", "plexi", "--json")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "refused (CKR_PIN_INCORRECT)" in command.plain("list", *options).stderr
    assert json.loads(command.plain("unlatch", "plexi", "--json").stdout) == {"released": ["plexi"]}
    assert "refused (CKR_PIN_INCORRECT)" in command.plain("list", *options).stderr
    tell_apart(default_latch_directory(), "wrong-pin", PIN)
    warned = command.run("list")
    assert warned.exit_code == 0, warned.output
    assert "a wrong PIN was given since the last login (count-low)" in warned.stderr
    assert not {"wrong-pin", PIN} & set((first.output + second.output + warned.output).split())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_in_the_help_of_each_command_is_complete(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails for what is not there at most, here: there is no configuration and no PIN file."""
    monkeypatch.chdir(command.hsm.directory)
    epilog = COMMANDS[name].epilog or ""
    assert epilog.removeprefix("Example: ") in " ".join(command.plain(name, "--help").stdout.split())
    assert epilog.startswith(f"Example: plexigate hsm {name} ")
    for words in plexigate_commands(epilog.removeprefix("Example: ")):
        answer = CliRunner().invoke(app, words)
        assert answer.exit_code in (0, 1), answer.output
        assert not re.search(r"--[a-z-]+: found|found (neither|both|none)", answer.stderr), answer.stderr


def plexigate_commands(line: str) -> list[list[str]]:
    """The arguments of each call of ours in a line for a shell."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&", ">"):
            parts.append([])
        elif parts[-1] or "=" not in word:  # not a variable before the command
            parts[-1].append(word)
    return [part[1:] for part in parts if part[0] == "plexigate"]


def test_a_uri_escapes_what_has_a_meaning_in_it() -> None:
    token = TokenFacts(0, "a b;c", "", "", "", 0, None, None, ())
    key = KeyFacts("k/1", b"\x00a", KeyClass.PRIVATE, "ecdsa-p256", 256, None, None, None, None, None, ())
    assert key_uri(token, key) == "pkcs11:token=a%20b%3Bc;object=k%2F1;id=%00a"


def test_without_options_it_is_the_configuration_of_the_running_proxy(
    command: Command, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = ConfigurationFacts(str(configuration(command)), "", 0.0)
    running.control.answer = replace(running.control.answer, configuration=facts)
    socket = running.path.parent / "runtime/plexigate/admin.sock"
    socket.parent.mkdir(parents=True)
    socket.symlink_to(running.path)
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(socket.parent))
    made = command.plain("generate", "served", "--json")
    assert made.exit_code == 0, made.stderr
    listed = command.plain("list")
    assert (listed.exit_code, "served.ecdsa-p256.v1" in listed.stdout) == (0, True)
    socket.unlink()
    absent = command.plain("list")
    assert (absent.exit_code, absent.stdout) == (1, "")
    assert "no token chosen: give --config FILE" in absent.stderr
    assert "no running proxy names its configuration" in absent.stderr
