"""Expected errors are a sentence, and others are not swallowed."""

from pathlib import Path

import pytest
import typer

from certs.backup.container import BackupDamaged
from certs.backup.restoring import Occupied
from certs.sealing.errors import KeyUnavailable, OtherKey, Tampered
from proxy.commands.backup.errors import said_errors


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BackupDamaged("is cut"), "plexigate: the backup is cut\n"),
        (OtherKey(b"a", (b"b",)), "same --key-version"),
        (
            KeyUnavailable("the token is gone"),
            "the sealing key cannot be used: the token is gone: plexigate hsm recover",
        ),
        (Tampered(), "plexigate: the backup was changed"),
        (Occupied([Path("/a\x1b[2J")]), r"those of the backup: /a\x1b[2J; move them"),
        (PermissionError(13, "Permission denied", "/etc/a"), "plexigate: /etc/a: Permission denied\n"),
    ],
)
def test_they_are_said(error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, said_errors():
        raise error
    assert caught.value.exit_code == 1
    assert told in capsys.readouterr().err


def test_others_pass() -> None:
    with pytest.raises(ZeroDivisionError), said_errors():
        raise ZeroDivisionError
