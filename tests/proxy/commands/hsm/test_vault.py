"""The vault of a configuration, for commands."""

from pathlib import Path

import pytest
import typer

from certs.hierarchy.vault import NoKeys
from certs.sealing.errors import NotSealed
from certs.sealing.files import SealedFileUnusable
from certs.sealing.key_file import create_key
from proxy.commands.hsm.recording import Recorder
from proxy.commands.hsm.sources import NotChosen
from proxy.commands.hsm.vault import configured_vault, said_sealing_errors


def test_the_vault_is_that_of_the_configuration_and_without_a_key_it_is_said_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('[sealing]\nkey = "sealing.key"\ndirectory = "sealed"\n')
    create_key(tmp_path / "sealing.key")
    vault = configured_vault(file, Recorder(None))
    assert (vault.path, vault.exists) == (tmp_path / "sealed/keys.sealed", False)
    file.write_text("")
    with pytest.raises(NotChosen, match=r"sealing\.key: found nothing; allowed: .*plexigate hsm init made"):
        configured_vault(file, Recorder(None))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NotSealed("is not sealed"), "plexigate: this is not sealed"),
        (NoKeys(Path("/a/keys.sealed"), ()), 'plexigate: "/a/keys.sealed" has no keys yet'),
        (SealedFileUnusable(Path("/a"), NotSealed("is not sealed")), 'plexigate: "/a" is not sealed'),
    ],
)
def test_an_expected_error_is_a_sentence(error: Exception, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), said_sealing_errors():
        raise error
    assert capsys.readouterr().err.startswith(said)
