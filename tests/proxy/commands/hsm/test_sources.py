"""Options and configuration together say which token; what they leave open is asked for."""

from pathlib import Path

import pytest
import typer

from certs.hsm.access import TokenChoice
from certs.hsm.errors import PinFileUnusable
from certs.tokens.used_keys import UsedKey
from proxy.commands.hsm.sources import HsmNotConfigured, NotChosen, SourceOptions, read_configured, said_errors
from tests.hsm_tokens import PIN, SoftHsm

MODULE = Path("/m.so")


def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(
        '[hsm]\nmodule = "/c.so"\n[hsm.token.a]\npin_file = "token.pin"\n[hsm.token.b]\nslot = 3\npin_file = "none.pin"\n'
    )
    return path


@pytest.mark.parametrize(
    ("text", "choice"),
    [("plexi", TokenChoice("plexi")), ("serial=4=2", TokenChoice(serial="4=2")), ("slot=7", TokenChoice(slot=7)),
     ("slot=x", TokenChoice("slot=x")), ("a=b", TokenChoice("a=b"))],
)  # fmt: skip
def test_a_token_is_named_by_label_serial_or_slot(hsm: SoftHsm, text: str, choice: TokenChoice) -> None:
    access = SourceOptions(None, MODULE, text, hsm.pin_file()).access()
    assert (access.module, access.token, access.pin.reveal()) == (MODULE, choice, PIN)
    assert access.latch_directory == hsm.directory / "state/pin-latch"


def test_without_token_or_pin_there_is_no_login() -> None:
    assert SourceOptions(None, MODULE, None, None).accesses() == []
    assert SourceOptions(None, MODULE, "plexi", None).accesses() == []
    with pytest.raises(NotChosen, match="--token TOKEN"):
        SourceOptions(None, MODULE, None, None).access()


def test_without_a_module_nothing_is_found(hsm: SoftHsm) -> None:
    with pytest.raises(NotChosen, match="--module PATH"):
        SourceOptions(None, None, "plexi", hsm.pin_file()).accesses()
    with pytest.raises(NotChosen):
        SourceOptions(None, None, None, None).modules()


def test_a_configuration_has_several_tokens(hsm: SoftHsm, tmp_path: Path) -> None:
    config, pin_file = configuration(tmp_path), hsm.pin_file()
    assert SourceOptions(config, None, None, None).modules() == Path("/c.so")
    assert SourceOptions(config, None, "a", None).access().token == TokenChoice("a")
    assert SourceOptions(config, MODULE, "b", pin_file).access().module == MODULE
    with pytest.raises(HsmNotConfigured, match=r"hsm\.token\.b\.pin_file: found .*no such file"):
        SourceOptions(config, None, "b", None).access()
    with pytest.raises(NotChosen, match="has 2 tokens; choose one"):
        SourceOptions(config, None, None, pin_file).access()
    with pytest.raises(NotChosen, match="found no token c; allowed: a, b"):
        SourceOptions(config, None, "c", None).access()
    config.write_text(config.read_text() + "[hsm.token.c]\n")
    with pytest.raises(NotChosen, match=r"hsm\.token\.c: found neither pin_file nor pin_credential"):
        SourceOptions(config, None, "c", None).access()


def test_an_error_is_a_sentence_and_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    for error in (PinFileUnusable("/p", "mode 0644", "mode 0600"), FileNotFoundError(2, "No such file", "/x")):
        with pytest.raises(typer.Exit) as caught, said_errors():
            raise error
        assert caught.value.exit_code == 1
    said = capsys.readouterr().err
    assert said == 'plexigate: PIN file "/p": found mode 0644; allowed: mode 0600\nplexigate: /x: No such file\n'


TEXT = """
[hsm]
module = "modules/m.so"
[hsm.token.plexi]
pin_file = "plexi.pin"
[hsm.token.two]
serial = "42"
pin_credential = "two-pin"
[identity.chat]
key = ["PKCS11:token=plexi;object=a%20b?pin-source=x", "pkcs11:serial=42;id=%01%ff"]
certificate = "chat.pem"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return path


def test_tokens_and_keys_are_found(tmp_path: Path) -> None:
    configured = read_configured(written(tmp_path, TEXT))
    assert configured.module == tmp_path / "modules/m.so"
    plexi, two = configured.tokens
    assert (plexi.choice, two.choice) == (TokenChoice(label="plexi"), TokenChoice(serial="42"))
    assert configured.keys == (
        UsedKey("identity.chat.key[0]", "plexi", None, "a b", None),
        UsedKey("identity.chat.key[1]", None, "42", None, b"\x01\xff"),
    )


def test_a_module_without_a_path_is_for_the_dynamic_linker(tmp_path: Path) -> None:
    assert read_configured(
        written(tmp_path, '[hsm]\nmodule = "p11-kit-proxy.so"\n[hsm.token.a]\npin_file = "a"')
    ).module == Path("p11-kit-proxy.so")


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "hsm: found nothing"), ("[hsm]", "hsm"), ("[", "no TOML"), ("[hsm]\nmodule='m'\ntoken.a=5", "hsm.token"),
     ("[hsm]\nmodule='m'\ntoken=5", "hsm.token")],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HsmNotConfigured, match=said):
        read_configured(written(tmp_path, text))


def test_a_key_in_a_table_that_is_refused_is_used_all_the_same(tmp_path: Path) -> None:
    configured = read_configured(written(tmp_path, TEXT + "unknown = 1\n[listener.x]\nbind = 7\n"))
    assert len(configured.keys) == 2


def test_pins_come_from_where_the_configuration_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("plexi.pin", "two-pin"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(f"{name}\n")
    path = written(tmp_path, TEXT)
    with pytest.raises(HsmNotConfigured, match="systemd passed no credentials"):
        read_configured(path).tokens[1].pin(read_configured(path).loaded)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    configured = read_configured(path)
    assert [one.pin(configured.loaded).reveal() for one in configured.tokens] == ["plexi.pin", "two-pin"]
