"""`plexigate hsm rotate-sealing`, with sealing keys in files and in a token."""

import json
import re
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from certs.hierarchy.configured import KEY_LABEL, vault_of
from certs.hierarchy.file_sealer import sealing_key_ids
from certs.hierarchy.proving import sealing_key_problems
from certs.hsm.used_versions import default_versions_directory
from certs.sealing.envelope import Purpose
from certs.sealing.key_file import create_key
from certs.sealing.recipients import PrivateRecipient, RecipientKem
from certs.sealing.sealing_key import sealing_key_name
from config.loading.loader import survey
from config.values.problems import Problem
from proxy.commands.cli import app
from proxy.supervisor.secrets.safe import now_in_utc
from tests.proxy.commands.hsm.conftest import Command
from tests.proxy.commands.hsm.test_recovery_commands import shares_in
from tests.proxy.commands.hsm.test_sealing_commands import Scene

SHARES = ("--threshold", "2", "--shares", "3", "--yes")


@pytest.fixture
def scene(command: Command, tmp_path: Path) -> Scene:
    """With a file that a key below the sealing key has sealed."""
    scene = Scene(command, tmp_path)
    (tmp_path / "one.sealed").write_bytes(scene.vault().sealer(Purpose.CREDENTIAL_KEY).seal(b"secret", KEY_LABEL))
    return scene


def rotated(scene: Scene, *words: str, answer: str | None = None) -> dict[str, Any]:
    """What it tells in JSON, or to people, with shares for them."""
    form = [] if "--shares" in words else ["--json"]
    done = scene.run("rotate-sealing", *form, *words, answer=answer)
    assert done.exit_code == 0, done.output
    if form:
        return {"shares": [], **json.loads(done.stdout)}
    told = re.search(r"(\S+) is the sealing key now\. (\S+) still opens what is sealed until (\S+)", done.stdout)
    assert told is not None
    shares = shares_in(done.stdout[: told.start()])
    return {"shares": shares, **dict(zip(("key", "previous", "until"), told.groups(), strict=True))}


def named(scene: Scene, key: str) -> None:
    """The configuration names another sealing key."""
    text = scene.config.read_text()
    scene.config.write_text(re.sub(r"(?m)(?<=^\[sealing\]\n)key = .*$", f"key = {json.dumps(key)}", text))


def problems(scene: Scene) -> list[Problem]:
    loaded = survey(scene.config).loaded
    assert loaded is not None
    return list(sealing_key_problems(loaded, vault_of(loaded, now_in_utc, lambda *_: None)))


def refused(done: Result, *said: str) -> None:
    assert done.exit_code == 1, done.output
    for one in said:
        assert one in done.stderr


def test_the_next_key_has_shares_and_both_open_until_the_former_is_ended(scene: Scene, tmp_path: Path) -> None:
    next_key = tmp_path / "next.key"
    told = rotated(scene, "--key-file", str(next_key), "--keep", "7d", *SHARES)
    assert (told["key"], told["previous"]) == (str(next_key), str(tmp_path / "sealing.key"))
    assert len(told["shares"]) == 3
    assert scene.opened(tmp_path / "one.sealed") == b"secret"
    lost = {name: key["if_lost"] for name, key in scene.keys().items()}
    assert lost == lost | {
        str(next_key): "nothing that is sealed opens again, unless its recovery shares bring it back",
        told[
            "previous"
        ]: "backups from its time do not open, unless its recovery shares bring it back, if there are some",
    }
    (warning,) = problems(scene)
    assert (warning.is_error, told["until"][:10] in warning.found) == (False, True)
    refused(scene.run("rotate-sealing", "--end-previous"), f"name {next_key} as sealing.key of the configuration first")
    refused(
        scene.run("rotate-sealing", "--key-file", str(tmp_path / "third.key"), "--no-recovery"),
        "found the previous sealing key",
    )
    assert not (tmp_path / "third.key").exists()
    named(scene, "next.key")
    assert problems(scene) == []
    assert scene.opened(tmp_path / "one.sealed") == b"secret"
    assert "sealing.key" in scene.run("rotate-sealing", "--end-previous").stdout
    assert "no previous sealing key" in scene.run("rotate-sealing", "--end-previous").stdout
    named(scene, "sealing.key")
    assert [one.is_error for one in problems(scene)] == [True]
    outcomes = [(action, outcome) for action, key, outcome in scene.outcomes() if key == "sealing key"]
    assert outcomes == [("split", "done"), ("import", "done"), ("rotate", "done"), ("retire", "done")]
    next_key.unlink()
    named(scene, "next.key")
    again = scene.run("recover", "--key-file", str(next_key), answer="\n".join(told["shares"][:2]) + "\n")
    assert again.exit_code == 0, again.output
    assert scene.opened(tmp_path / "one.sealed") == b"secret"


def test_a_key_that_is_there_is_taken(scene: Scene, tmp_path: Path) -> None:
    refused(scene.run("rotate-sealing", "--key-file", str(tmp_path / "next.key"), "--take"), "which cannot be read")
    create_key(tmp_path / "next.key")
    refused(scene.run("rotate-sealing", "--key-file", str(tmp_path / "next.key"), *SHARES), "allowed: --take")
    assert rotated(scene, "--key-file", str(tmp_path / "next.key"), "--take")["shares"] == []
    named(scene, "next.key")
    assert scene.opened(tmp_path / "one.sealed") == b"secret"


@pytest.mark.parametrize("keep", ["59m", "366d", "soon"])
def test_a_time_without_bounds_is_refused(scene: Scene, tmp_path: Path, keep: str) -> None:
    done = scene.run("rotate-sealing", "--key-file", str(tmp_path / "next.key"), "--keep", keep, "--no-recovery")
    refused(done, f"--keep: found '{keep}'; allowed: a time from 1h to 365d")
    assert not (tmp_path / "next.key").exists()


def test_shares_are_not_mixed_with_json(scene: Scene, tmp_path: Path) -> None:
    done = scene.run("rotate-sealing", "--json", "--key-file", str(tmp_path / "next.key"), *SHARES)
    refused(done, "--json: found shares to show")
    assert (done.stdout, (tmp_path / "next.key").exists()) == ("", False)


def test_what_ends_a_former_key_before_its_time_asks_first_and_says_so(scene: Scene, tmp_path: Path) -> None:
    first, second, third = (str(tmp_path / name) for name in ("sealing.key", "next.key", "third.key"))
    assert rotated(scene, "--key-file", second, "--no-recovery")["ended"] == []
    assert scene.keys()[second]["if_lost"] == "nothing that is sealed opens again: it has no recovery shares"
    named(scene, second)
    words = ("rotate-sealing", "--key-file", third, "--no-recovery")
    done = scene.run(*words, answer="n\n")
    refused(done, f"{first} still opens what is sealed, and will no more. Go on?", "nothing was changed")
    assert not Path(third).exists()
    assert rotated(scene, *words[1:], "--yes")["ended"] == [first]
    outcomes = [action for action, key, _ in scene.outcomes() if key == "sealing key"]
    assert outcomes == ["generate", "rotate", "generate", "rotate", "retire"]
    named(scene, third)
    refused(
        scene.run("rotate-sealing", "--key-file", first, "--take", "--yes"), "sealing.key was the sealing key before"
    )


@pytest.mark.parametrize(
    "words", [("--keep", "30d"), ("--no-recovery",), ("--take",), ("--token", "plexi"), ("--shares", "5")]
)
def test_what_ends_the_former_key_makes_none(scene: Scene, words: tuple[str, ...]) -> None:
    done = scene.run("rotate-sealing", "--end-previous", "--yes", *words)
    assert (done.exit_code, f"{words[0]} with --end-previous" in " ".join(done.stderr.split())) == (2, True)


def test_no_key_is_made_where_the_present_one_does_not_open(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "sealing.key").unlink()
    done = scene.run("rotate-sealing", "--key-file", str(tmp_path / "next.key"), *SHARES)
    refused(done, "which cannot be read")
    assert done.stdout == ""
    assert not (tmp_path / "next.key").exists()


def test_holders_who_give_up_leave_everything_as_it_was(scene: Scene, tmp_path: Path) -> None:
    before = (tmp_path / "sealed/keys.sealed").read_bytes()
    done = scene.run("rotate-sealing", "--key-file", str(tmp_path / "next.key"), "--threshold", "2", "--shares", "3")
    refused(done, "not a terminal")
    done = scene.run("rotate-sealing")
    refused(done, "the present sealing key is a file; allowed: --key-file FILE, or --token NAME")
    done = scene.run("rotate-sealing", "--key-file", "a", "--token", "plexi")
    assert (done.exit_code, "either --token or --key-file" in done.stderr) == (2, True)
    assert (tmp_path / "sealed/keys.sealed").read_bytes() == before


class TestInAToken:
    """From a file to a token, and from there to the next version."""

    @pytest.fixture
    def scene(self, scene: Scene, command: Command) -> Scene:
        scene.add(f'[hsm]\nmodule = "{command.hsm.module}"\n[hsm.token.plexi]\npin_file = "{command.hsm.pin_file()}"\n')
        return scene

    def test_versions_follow_each_other(self, scene: Scene, command: Command, tmp_path: Path) -> None:
        def version(number: int) -> str:
            return f"pkcs11:token=plexi;object=sealing.aes-256.v{number}"

        def openers() -> list[str]:
            content = (tmp_path / "sealed/keys.sealed").read_bytes()
            names = {sealing_key_name(number).id: version(number) for number in range(1, 5)}
            return [names[one] for one in sealing_key_ids(content) if one in names]

        told = rotated(scene, "--token", "plexi", *SHARES)
        assert (told["key"], len(told["shares"])) == (version(1), 3)
        named(scene, version(1))
        assert rotated(scene, "--no-recovery", "--yes")["previous"] == version(1)
        assert openers() == [version(2), version(1)]
        named(scene, version(2))
        assert command.run("generate", "sealing", "--kind", "aes-256").exit_code == 0
        refused(
            scene.run("rotate-sealing", *SHARES), "has sealing.aes-256.v3, which seals nothing here; allowed: --take"
        )
        assert rotated(scene, "--take", "--yes")["key"] == version(3)
        assert openers() == [version(3), version(2)]
        named(scene, version(1))
        (error,) = problems(scene)
        assert (error.is_error, error.allowed) == (True, "the key that does: sealing.aes-256.v3")
        named(scene, version(3))
        assert problems(scene) == []
        assert scene.opened(tmp_path / "one.sealed") == b"secret"
        refused(scene.run("rotate-sealing", "--take", "--yes"), "has no newer sealing key")
        for gone in ("v2", "v3"):
            assert command.run("destroy", f"sealing.aes-256.{gone}", "--yes", "--unverified").exit_code == 0
        (error,) = problems(scene)
        assert (error.is_error, "plexigate hsm recover --key-version 3 brings it back" in error.allowed) == (True, True)
        assert 'the token has 0 keys with label "sealing.aes-256.v3", not one' in error.found

    def test_the_previous_key_opens_a_backup_if_the_newest_is_lost(
        self, scene: Scene, command: Command, tmp_path: Path
    ) -> None:
        named(scene, rotated(scene, "--token", "plexi", "--no-recovery")["key"])
        rotated(scene, "--no-recovery", "--yes")
        runner = CliRunner()
        file, recipient = str(tmp_path / "one.pxbackup"), tmp_path / "safe.pub"
        recipient.write_bytes(PrivateRecipient.generate(RecipientKem.MLKEM768_X25519).public.pem())
        words = ["backup", "create", file, "--config", str(scene.config)]
        refused(runner.invoke(app, words), "nobody could open the backup after a loss")
        made = runner.invoke(app, [*words, "--to", str(recipient)])
        assert made.exit_code == 0, made.output
        assert "The sealing key v2 or v1 opens it." in made.stdout
        assert command.run("destroy", "sealing.aes-256.v2", "--yes", "--unverified").exit_code == 0
        (tmp_path / "sealed/keys.sealed").unlink()
        scene.config.unlink()
        done = runner.invoke(app, ["backup", "restore", file, "--replace", *command.options])
        assert done.exit_code == 0, done.output
        assert scene.opened(tmp_path / "one.sealed") == b"secret"

    def test_a_version_that_another_machine_has_destroyed_is_not_made_again(
        self, scene: Scene, command: Command, tmp_path: Path
    ) -> None:
        assert rotated(scene, "--token", "plexi", "--no-recovery")["key"].endswith("sealing.aes-256.v1")
        named(scene, "pkcs11:token=plexi;object=sealing.aes-256.v1")
        rotated(scene, "--key-file", str(tmp_path / "next.key"), "--no-recovery", "--yes")
        named(scene, "next.key")
        assert command.run("destroy", "sealing.aes-256.v1", "--yes", "--unverified").exit_code == 0
        rmtree(default_versions_directory())
        assert rotated(scene, "--token", "plexi", "--no-recovery", "--yes")["key"].endswith("sealing.aes-256.v2")
