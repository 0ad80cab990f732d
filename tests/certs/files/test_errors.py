"""The base of all errors about credentials."""

from pathlib import Path

from certs.files.errors import CredentialError, Part


def test_an_error_is_a_sentence_about_a_file() -> None:
    error = CredentialError(Path("chat.pem"), "which is torn", "one in one piece")
    assert str(error) == '"chat.pem", which is torn; allowed: one in one piece'
    assert (error.path, error.part) == (Path("chat.pem"), Part.CERTIFICATE)
