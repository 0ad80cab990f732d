"""Options and configuration together say which token; what they leave open is asked for."""

from pathlib import Path

import pytest
import typer

from certs.hsm.access import TokenChoice
from certs.hsm.errors import PinFileUnusable
from proxy.commands.hsm.configured import HsmNotConfigured
from proxy.commands.hsm.sources import NotChosen, SourceOptions, said_errors
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
