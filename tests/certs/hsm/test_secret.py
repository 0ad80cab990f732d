"""A secret shows itself to nobody who does not ask for it by name."""

import pickle

import pytest

from certs.hsm.secret import Secret


def test_a_secret_reveals_its_text() -> None:
    assert Secret("1234").reveal() == "1234"


def test_nothing_shows_it() -> None:
    secret = Secret("1234")
    assert "1234" not in f"{secret} {secret!r} {[secret]} {secret!s}"


def test_it_is_told_from_others_and_not_pickled() -> None:
    assert Secret("1234") == Secret("1234") != Secret("5678")
    assert Secret("1234") != "1234"
    assert len({Secret("1234"), Secret("1234"), Secret("5678")}) == 2
    with pytest.raises(TypeError):
        pickle.dumps(Secret("1234"))


def test_its_file_is_gone_with_it() -> None:
    secret = Secret("1234")
    path = secret.path
    assert path == secret.path
    assert path.read_text() == "1234"
    assert "1234" not in str(path)
    del secret
    assert not path.exists() or path.read_bytes() != b"1234"
