"""A token for development is made once and found again."""

import json
import os
import stat
from pathlib import Path

import pytest

from certs.hsm.access import TokenAccess, TokenChoice, read_pin
from certs.hsm.clients import calls
from proxy.commands.hsm import init_dev
from proxy.commands.hsm.sources import NotChosen
from tests.hsm_tokens import softhsm_module, token_process
from tests.proxy.commands.hsm.conftest import Command


def test_it_is_made_once_and_its_secrets_are_its_owners(command: Command, tmp_path: Path) -> None:
    arguments = (
        "init-dev",
        str(tmp_path / "dev"),
        "--module",
        str(softhsm_module()),
        "--label",
        "dev",
        "--identity",
        "demo",
    )
    first, second = command.plain(*arguments, "--json"), command.plain(*arguments, "--json")
    assert first.exit_code == second.exit_code == 0, first.output
    assert first.stdout == second.stdout
    made = json.loads(first.stdout)
    assert made["key"] == "pkcs11:token=dev;object=demo.ecdsa-p256.v1"
    for name in ("dev.pin", "dev.so-pin"):
        assert stat.S_IMODE((tmp_path / "dev" / name).stat().st_mode) == 0o600
    pin = read_pin(Path(made["pin_file"]))
    assert pin.reveal() not in first.output
    assert made["SOFTHSM2_CONF"] == str(tmp_path / "dev/softhsm2.conf")
    os.environ["SOFTHSM2_CONF"] = made["SOFTHSM2_CONF"]
    access = TokenAccess(softhsm_module(), TokenChoice("dev"), pin, tmp_path / "latches")
    with token_process(access) as process:
        assert [key.label for key in process.perform(calls.keys())] == ["demo.ecdsa-p256.v1"]


def test_it_is_said_for_people(command: Command, tmp_path: Path) -> None:
    answer = command.plain("init-dev", str(tmp_path / "dev"), "--module", str(softhsm_module()))
    assert f"pin_file      {tmp_path}/dev/plexi.pin" in answer.stdout


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("x" * 40, "1 to 32 octets"),
        ("\u00e4" * 17, "1 to 32 octets"),
        ("", "1 to 32 octets"),
        ("../x", "without a slash"),
    ],
)
def test_a_label_that_no_token_takes_is_refused_before_anything_is_made(
    command: Command, tmp_path: Path, label: str, said: str
) -> None:
    answer = command.plain("init-dev", str(tmp_path / "dev"), "--module", str(softhsm_module()), "--label", label)
    assert answer.exit_code == 1
    assert f'plexigate: --label: found "{label}"; allowed: ' in answer.stderr
    assert said in answer.stderr
    assert not (tmp_path / "dev").exists()


def test_a_label_with_a_space_makes_a_uri_all_the_same(command: Command, tmp_path: Path) -> None:
    made = command.plain(
        "init-dev", str(tmp_path / "dev"), "--module", str(softhsm_module()), "--label", "my token", "--json"
    )
    assert json.loads(made.stdout)["key"] == "pkcs11:token=my%20token;object=chat.ecdsa-p256.v1"


def test_a_machine_without_softhsm_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(init_dev, "PLACES", (str(tmp_path / "none.so"),))
    with pytest.raises(NotChosen, match="apt-get install libsofthsm2"):
        init_dev.softhsm()
    (tmp_path / "none.so").touch()
    assert init_dev.softhsm() == tmp_path / "none.so"
