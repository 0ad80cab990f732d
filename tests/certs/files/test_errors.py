"""The base of all errors about credentials."""

from pathlib import Path

import pytest

from certs.files.errors import CredentialError, Part


class Torn(CredentialError):
    part = Part.KEY

    @property
    def found(self) -> str:
        return "which is torn"

    @property
    def allowed(self) -> str:
        return "one in one piece"


def test_an_error_is_a_sentence_about_a_file() -> None:
    error = Torn(Path("chat.key"))
    assert str(error) == '"chat.key", which is torn; allowed: one in one piece'
    assert (error.path, error.part) == (Path("chat.key"), "key")


def test_each_kind_must_say_what_is_wrong() -> None:
    error = CredentialError(Path("chat.pem"))
    assert error.part is Part.CERTIFICATE
    with pytest.raises(NotImplementedError):
        _ = error.found
    with pytest.raises(NotImplementedError):
        _ = error.allowed
